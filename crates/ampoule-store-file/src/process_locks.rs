//! Locks among the writers of this process, and the guard of the lock among all processes.

use std::fs::File;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ampoule_core::StoreKey;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks among the writers of this process. A writer waits for one without a thread and without a handle, and only its
/// holder requests the lock among processes, so that processes, not tasks, contend for that lock.
pub(crate) struct ProcessLocks(Vec<Arc<Mutex<()>>>);

/// The right of a writer among those of this process.
pub(crate) struct ProcessGuard {
    pub(crate) first: u8,
    pub(crate) requested: Instant,
    _guard: OwnedMutexGuard<()>,
}

/// The right to write the records of one folder, among all processes. It ends when it is dropped, or its process dies.
pub(crate) struct Lock {
    pub(crate) folder: LockedFolder,
    pub(crate) guard: ProcessGuard,
}

/// A locked folder.
pub(crate) struct LockedFolder(pub(crate) File);

impl ProcessLocks {
    pub(crate) fn new() -> ProcessLocks {
        ProcessLocks((0..=u8::MAX).map(|_| Arc::default()).collect())
    }

    pub(crate) async fn acquire(&self, key: StoreKey) -> ProcessGuard {
        let (first, requested) = (first_byte(key), Instant::now());
        ProcessGuard { first, requested, _guard: Arc::clone(&self.0[usize::from(first)]).lock_owned().await }
    }

    /// Acquires the lock on a thread that may block, within a time limit: its holder may need the thread that waits
    /// here, if a runtime has few of them.
    pub(crate) fn acquire_blocking(&self, key: StoreKey, limit: Duration) -> Option<ProcessGuard> {
        let (first, requested) = (first_byte(key), Instant::now());
        let mut guard = pin!(Arc::clone(&self.0[usize::from(first)]).lock_owned());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(guard) = guard.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(ProcessGuard { first, requested, _guard: guard });
            }
            let left = limit.checked_sub(requested.elapsed()).filter(|left| !left.is_zero())?;
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

/// The shard of a key is its first byte, which is random in every key; the last bytes may be the same in all keys.
fn first_byte(key: StoreKey) -> u8 {
    key.as_bytes()[0]
}

impl Drop for LockedFolder {
    fn drop(&mut self) {
        // Closing the file unlocks it too, unless a child process that is just being started has inherited the handle.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::SessionId;

    use super::*;

    /// The key of a session has 16 random bytes and 16 that are the same for all sessions; a cache's key is a digest.
    #[test]
    fn keys_of_every_kind_are_spread_over_all_locks() {
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
