//! Who is creating a value in this process, and who waits for it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::memory::MemoryKey;

pub(crate) type Made = Arc<dyn Any + Send + Sync>;

/// The values that are being created.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<MemoryKey, Arc<Flight>>>);

#[derive(Default)]
struct Flight {
    turn: Arc<tokio::sync::Mutex<Option<Landed>>>,
    /// How many have joined, the creator among them.
    joined: AtomicUsize,
}

/// What a creator made for those who wait.
struct Landed {
    made: Made,
    /// It is what was right at this moment: for who came later it may be too old.
    as_of: Instant,
}

/// What came of waiting.
pub(crate) enum Turn<'a> {
    /// The caller is to create the value.
    Ours(Creating<'a>),
    /// Another one has created it.
    Made(Made),
    /// The time is over, and another one is still creating. Who asks again does not wait for that one.
    TooLong,
}

/// The right to create a value. It ends when it is dropped, also by a cancelled request, and the next one goes on.
pub(crate) struct Creating<'a> {
    landed: OwnedMutexGuard<Option<Landed>>,
    joined: Joined<'a>,
}

impl Flights {
    /// Waits until this caller is the one who creates, or gets what another one created after the caller came.
    pub(crate) async fn turn(&self, key: &MemoryKey, patience: Duration) -> Turn<'_> {
        let came = Instant::now();
        let joined = self.join(key);
        let Ok(landed) = tokio::time::timeout(patience, Arc::clone(&joined.flight.turn).lock_owned()).await else {
            joined.leave_behind();
            return Turn::TooLong;
        };
        match &*landed {
            Some(ours) if ours.as_of >= came => Turn::Made(Arc::clone(&ours.made)),
            _ => Turn::Ours(Creating { landed, joined }),
        }
    }

    /// The turn, if nobody has it.
    pub(crate) fn try_turn(&self, key: &MemoryKey) -> Option<Creating<'_>> {
        let joined = self.join(key);
        let landed = Arc::clone(&joined.flight.turn).try_lock_owned().ok()?;
        Some(Creating { landed, joined })
    }

    /// Who comes from now on does not get what is being created: it may be of before a removal.
    pub(crate) fn leave_behind(&self, key: &MemoryKey) {
        self.map().remove(key);
    }

    /// The same for all values.
    pub(crate) fn leave_all_behind(&self) {
        self.map().clear();
    }

    fn join(&self, key: &MemoryKey) -> Joined<'_> {
        let mut map = self.map();
        let flight = match map.get(key) {
            Some(flight) => Arc::clone(flight),
            None => Arc::clone(map.entry(key.clone()).or_default()),
        };
        flight.joined.fetch_add(1, Ordering::Relaxed);
        Joined { flights: self, key: key.clone(), flight }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<MemoryKey, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Creating<'_> {
    /// Whether somebody waits for the value.
    pub(crate) fn is_awaited(&self) -> bool {
        self.joined.flight.joined.load(Ordering::Relaxed) > 1
    }

    /// Gives the value to those who wait, and came before `as_of`.
    pub(crate) fn land(mut self, made: Made, as_of: Instant) {
        *self.landed = Some(Landed { made, as_of });
    }
}

/// A caller's part in a flight; the last one to leave takes it off the list.
struct Joined<'a> {
    flights: &'a Flights,
    key: MemoryKey,
    flight: Arc<Flight>,
}

impl Joined<'_> {
    /// Takes this flight off the list, if it is not another one's by now.
    fn leave_behind(&self) {
        let mut map = self.flights.map();
        if map.get(&self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.flight)) {
            map.remove(&self.key);
        }
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut map = self.flights.map();
        if self.flight.joined.fetch_sub(1, Ordering::Relaxed) == 1
            && map.get(&self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.flight))
        {
            map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn ours(turn: Turn<'_>) -> Creating<'_> {
        match turn {
            Turn::Ours(creating) => creating,
            _ => panic!("expected the turn"),
        }
    }

    #[tokio::test]
    async fn who_waits_gets_what_was_made_and_nothing_is_left_over() {
        let flights = Flights::default();
        let key = MemoryKey::new(1, b"key");
        let creating = ours(flights.turn(&key, PATIENCE).await);
        assert!(flights.try_turn(&key).is_none());
        let waiting = flights.turn(&key, PATIENCE);
        let landing = async {
            tokio::task::yield_now().await;
            assert!(creating.is_awaited());
            creating.land(Arc::new(7_u8), Instant::now());
        };
        let (turn, ()) = futures_util::future::join(waiting, landing).await;
        assert!(matches!(turn, Turn::Made(made) if made.downcast_ref() == Some(&7_u8)));
        assert!(flights.map().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_lets_the_next_one_go_on() {
        let flights = Flights::default();
        let key = MemoryKey::new(1, b"key");
        let creating = ours(flights.turn(&key, PATIENCE).await);
        let waiting = flights.turn(&key, PATIENCE);
        let (turn, ()) = futures_util::future::join(waiting, async { drop(creating) }).await;
        drop(ours(turn));
        assert!(flights.map().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let flights = Flights::default();
        let key = MemoryKey::new(1, b"key");
        let _creating = ours(flights.turn(&key, PATIENCE).await);
        assert!(matches!(flights.turn(&key, PATIENCE).await, Turn::TooLong));
        drop(ours(flights.turn(&key, PATIENCE).await));
    }
}
