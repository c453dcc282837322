//! Whose turn it is to write, among the writers of this process, and the lock that the writer then takes.

use std::fs::File;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ampoule_core::StoreKey;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The writers of this process wait for their turn without a thread and without a handle; only the writer whose turn it
/// is asks for the lock, so that processes, not tasks, contend for it.
pub(crate) struct Turns(Vec<Arc<Mutex<()>>>);

/// A writer's turn among those of this process.
pub(crate) struct Turn {
    pub(crate) first: u8,
    pub(crate) asked: Instant,
    _line: OwnedMutexGuard<()>,
}

/// The right to write the records of one folder, among all processes. Ends when it is dropped, or its process dies.
pub(crate) struct Lock {
    pub(crate) folder: Locked,
    pub(crate) turn: Turn,
}

/// A folder that is locked.
pub(crate) struct Locked(pub(crate) File);

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns((0..=u8::MAX).map(|_| Arc::default()).collect())
    }

    pub(crate) async fn turn(&self, key: StoreKey) -> Turn {
        let (first, asked) = (first_byte(key), Instant::now());
        Turn { first, asked, _line: Arc::clone(&self.0[usize::from(first)]).lock_owned().await }
    }

    /// The same on a thread that may block, for a limited time: the writer whose turn it is may need the thread that waits
    /// here, where a runtime has few of them.
    pub(crate) fn blocking_turn(&self, key: StoreKey, limit: Duration) -> Option<Turn> {
        let (first, asked) = (first_byte(key), Instant::now());
        let mut line = pin!(Arc::clone(&self.0[usize::from(first)]).lock_owned());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(line) = line.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(Turn { first, asked, _line: line });
            }
            let left = limit.checked_sub(asked.elapsed()).filter(|left| !left.is_zero())?;
            thread::park_timeout(left);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// By the first byte, which is random in every key; the last ones may be the same in all.
fn first_byte(key: StoreKey) -> u8 {
    key.as_bytes()[0]
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing unlocks too, but not while a child process that is just being started has the handle.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::SessionId;

    use super::*;

    /// A session's key is 16 random bytes and 16 that are the same in all of them; a cache's is a digest.
    #[test]
    fn keys_of_every_kind_are_spread_over_all_turns() {
        let digest = |number: u32| StoreKey::digest(&number.to_be_bytes());
        let session = |number| StoreKey::from(SessionId::new(*digest(number).as_bytes().first_chunk().unwrap()));
        let kinds: [&dyn Fn(u32) -> StoreKey; 2] = [&session, &digest];
        for key in kinds {
            let mut found = [0_u32; 256];
            (0..25_600).for_each(|number| found[usize::from(first_byte(key(number)))] += 1);
            assert!(found.iter().all(|number| (50..150).contains(number)), "{found:?}");
        }
    }
}
