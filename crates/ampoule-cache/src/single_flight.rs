//! The values that are being created in this process, by one caller each, and the callers that wait for them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::memory::{AnyValue, MemoryKey};

/// How long a caller waits before a warning is logged.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// An empty map releases its capacity beyond this.
const MAX_IDLE_CAPACITY: usize = 1_024;

/// The values that are being created.
#[derive(Default)]
pub(crate) struct SingleFlight(Mutex<HashMap<MemoryKey, Arc<Flight>>>);

/// One value that is being created.
struct Flight {
    key: MemoryKey,
    result: Arc<tokio::sync::Mutex<Option<Completed>>>,
    /// The number of callers that have joined, including the leader.
    joined: AtomicUsize,
    warned: AtomicBool,
}

/// A created value, for the waiting callers.
struct Completed {
    value: AnyValue,
    /// When the value was known to be valid: callers that came later need a newer one.
    as_of: Instant,
}

/// The result of waiting.
pub(crate) enum Outcome<'a> {
    /// The caller is to create the value.
    Leader(Leader<'a>),
    /// Another caller has created it.
    Shared(AnyValue),
    /// The time limit is over, and another caller is still creating. The next call does not wait for that one.
    TimedOut,
}

/// The right to create a value. When it is dropped, also because the request is cancelled, the next caller gets it.
pub(crate) struct Leader<'a> {
    result: OwnedMutexGuard<Option<Completed>>,
    joined: Joined<'a>,
}

tokio::task_local! {
    /// The flights whose creators are running, each inside the one before it.
    static CREATING: Vec<Arc<Flight>>;
}

impl SingleFlight {
    /// Waits until this caller is the leader, or another caller has created a value after this one came.
    ///
    /// # Panics
    /// If the caller is the creator of this very value, since it would wait for itself.
    pub(crate) async fn lead_or_wait(&self, key: &MemoryKey, limit: Duration, namespace: &str) -> Outcome<'_> {
        let came = Instant::now();
        let joined = self.join(key);
        match joined.wait(limit, namespace).await {
            None => {
                joined.forget(&mut self.map());
                Outcome::TimedOut
            }
            Some(result) => match &*result {
                Some(completed) if completed.as_of >= came => Outcome::Shared(Arc::clone(&completed.value)),
                _ => Outcome::Leader(Leader { result, joined }),
            },
        }
    }

    /// Returns the right to create the value, if no caller has it.
    pub(crate) fn try_lead(&self, key: &MemoryKey) -> Option<Leader<'_>> {
        let joined = self.join(key);
        let result = Arc::clone(&joined.flight.result).try_lock_owned().ok()?;
        Some(Leader { result, joined })
    }

    /// Callers that come from now on do not get the value that is being created: it may be older than a removal.
    pub(crate) fn forget(&self, key: &MemoryKey) {
        self.map().remove(key);
    }

    /// The same for all values.
    pub(crate) fn forget_all(&self) {
        self.map().clear();
    }

    fn join(&self, key: &MemoryKey) -> Joined<'_> {
        let mut map = self.map();
        let flight = match map.get(key) {
            Some(flight) => Arc::clone(flight),
            None => {
                let (result, joined, warned) = Default::default();
                let flight = Arc::new(Flight { key: key.clone(), result, joined, warned });
                map.insert(key.clone(), Arc::clone(&flight));
                flight
            }
        };
        flight.joined.fetch_add(1, Ordering::Relaxed);
        Joined { flights: self, flight }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<MemoryKey, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader<'_> {
    /// Runs the creator, so that a lookup of the same value inside it is recognized.
    pub(crate) async fn create<T>(&self, creator: impl Future<Output = T>) -> T {
        let mut flights = CREATING.try_with(Vec::clone).unwrap_or_default();
        flights.push(Arc::clone(&self.joined.flight));
        CREATING.scope(flights, creator).await
    }

    /// Whether other callers wait for the value.
    pub(crate) fn is_awaited(&self) -> bool {
        self.joined.flight.joined.load(Ordering::Relaxed) > 1
    }

    /// Gives the value to the callers that came before `as_of`.
    pub(crate) fn complete(mut self, value: AnyValue, as_of: Instant) {
        *self.result = Some(Completed { value, as_of });
    }
}

/// A caller's part in a flight; the last one to leave removes the flight.
struct Joined<'a> {
    flights: &'a SingleFlight,
    flight: Arc<Flight>,
}

impl Joined<'_> {
    /// Waits for the right to create; `None` if it is not free within the limit.
    async fn wait(&self, limit: Duration, namespace: &str) -> Option<OwnedMutexGuard<Option<Completed>>> {
        let flight = &*self.flight;
        if let Ok(result) = Arc::clone(&flight.result).try_lock_owned() {
            return Some(result);
        }
        let is_own = |flights: &Vec<Arc<Flight>>| flights.iter().any(|own| Arc::ptr_eq(own, &self.flight));
        assert!(
            !CREATING.try_with(is_own).unwrap_or_default(),
            "the creator of a value in the cache `{namespace}` asks for that value, and would wait for itself: expected \
             a creator that asks for other values only"
        );
        let free = Arc::clone(&flight.result).lock_owned();
        let mut free = std::pin::pin!(free);
        let patience = limit.min(WARN_AFTER);
        if let Ok(result) = timeout(patience, &mut free).await {
            return Some(result);
        }
        if !flight.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                cache = namespace,
                "callers have waited for {patience:?} for a value that another task creates; does its creator wait for \
                 one of them?"
            );
        }
        timeout(limit - patience, free).await.ok()
    }

    /// Removes this flight, unless another one has replaced it.
    fn forget(&self, map: &mut HashMap<MemoryKey, Arc<Flight>>) {
        if map.get(&self.flight.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.flight)) {
            map.remove(&self.flight.key);
        }
        if map.is_empty() && map.capacity() > MAX_IDLE_CAPACITY {
            map.shrink_to_fit();
        }
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        // Under the lock of the map, by which other callers join.
        let mut map = self.flights.map();
        if self.flight.joined.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.forget(&mut map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryKeyRef;

    const LIMIT: Duration = Duration::from_secs(20);

    fn key() -> MemoryKey {
        MemoryKeyRef { values: 1, key: b"key" }.to_owned()
    }

    async fn outcome(flights: &SingleFlight) -> Outcome<'_> {
        flights.lead_or_wait(&key(), LIMIT, "n").await
    }

    fn leader(outcome: Outcome<'_>) -> Leader<'_> {
        match outcome {
            Outcome::Leader(leader) => leader,
            _ => panic!("expected to be the leader"),
        }
    }

    #[tokio::test]
    async fn waiting_callers_get_the_value_and_no_flight_remains() {
        let flights = SingleFlight::default();
        let leading = leader(outcome(&flights).await);
        assert!(flights.try_lead(&key()).is_none());
        let completing = async {
            tokio::task::yield_now().await;
            assert!(leading.is_awaited());
            leading.complete(Arc::new(7_u8), Instant::now());
        };
        let (turn, ()) = futures_util::future::join(outcome(&flights), completing).await;
        assert!(matches!(turn, Outcome::Shared(value) if value.downcast_ref() == Some(&7_u8)));
        assert!(flights.map().is_empty());
    }

    #[tokio::test]
    async fn the_next_caller_leads_when_the_leader_is_dropped() {
        let flights = SingleFlight::default();
        let leading = leader(outcome(&flights).await);
        let (next, ()) = futures_util::future::join(outcome(&flights), async { drop(leading) }).await;
        drop(leader(next));
        assert!(flights.map().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_the_limit() {
        let flights = SingleFlight::default();
        let leading = leader(outcome(&flights).await);
        assert!(matches!(outcome(&flights).await, Outcome::TimedOut));
        drop(leader(outcome(&flights).await));
        assert!(leading.joined.flight.warned.load(Ordering::Relaxed), "a warning was logged");
    }

    /// Two futures of one task may wait for each other's values; a creator cannot wait for its own.
    #[tokio::test(start_paused = true)]
    async fn a_creator_that_looks_up_its_own_value_panics_at_once() {
        let began = tokio::time::Instant::now();
        let task = tokio::spawn(async {
            let (flights, other) = (SingleFlight::default(), SingleFlight::default());
            let leading = leader(outcome(&flights).await);
            let nested = async {
                let between = leader(outcome(&other).await);
                between.create(async { drop(outcome(&flights).await) }).await;
            };
            leading.create(nested).await;
        });
        let message = task.await.unwrap_err().into_panic().downcast::<String>().unwrap();
        assert!(message.contains("the cache `n`") && message.contains("wait for itself"), "{message}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
