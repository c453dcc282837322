//! Futures that wait for the end of a session, and how they are woken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, SessionId, StoreEvent, Watcher};
use tokio::sync::Notify;

use crate::backend::StoreBackend;

/// How often a session is read in a store that does not report changes.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How often in one that does, to find missed reports.
const WATCHED_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Whether the error means that the session will never be readable.
pub(crate) fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// The waiters for the ends of sessions, in one layer of this process.
#[derive(Clone, Default)]
pub(crate) struct Endings(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Each session's notifier, with the number of its waiters.
    sessions: Mutex<HashMap<SessionId, (Arc<Notify>, usize)>>,
    is_following: AtomicBool,
}

impl Endings {
    /// Wakes the waiters of this session, which then read it.
    pub(crate) fn wake(&self, id: SessionId) {
        if let Some((notify, _)) = self.0.sessions().get(&id) {
            notify.notify_waiters();
        }
    }

    /// Waits until the session has ended.
    pub(crate) async fn wait(&self, store: &StoreBackend, id: SessionId) {
        let waiter = Waiter::new(&self.0, id);
        loop {
            let poll = if self.follow(store) { WATCHED_POLL_INTERVAL } else { POLL_INTERVAL };
            // Before the read, so that an end between the read and the wait is not missed.
            let mut woken = std::pin::pin!(waiter.notify.notified());
            woken.as_mut().enable();
            match store.lives(id).await {
                Ok(false) => return,
                Err(error) if is_final(&error) => return,
                _ => {}
            }
            let _elapsed = tokio::time::timeout(poll, woken).await;
        }
    }

    /// Starts to follow the store's reports, once for all waiters, and returns whether the store reports anything.
    fn follow(&self, store: &StoreBackend) -> bool {
        if self.0.is_following.load(Ordering::SeqCst) {
            return true;
        }
        let Some(watcher) = store.watch() else { return false };
        if !self.0.is_following.swap(true, Ordering::SeqCst) {
            tokio::spawn(Following(Arc::downgrade(&self.0)).follow(watcher));
        }
        true
    }
}

impl Waiting {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, (Arc<Notify>, usize)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that follows the store while there are waiters. When it ends, also because its runtime ends, the next
/// waiter starts another.
struct Following(Weak<Waiting>);

impl Following {
    async fn follow(self, mut watcher: Box<dyn Watcher>) {
        loop {
            let told = tokio::time::timeout(WATCHED_POLL_INTERVAL, watcher.next()).await;
            let Some(waiting) = self.0.upgrade() else { return };
            if waiting.sessions().is_empty() {
                return;
            }
            // The waiters find missed reports at their next regular read: to wake all at once would be too much load.
            if let Ok(StoreEvent::Key(key)) = told
                && let Some(id) = key.session_id()
            {
                Endings(waiting).wake(id);
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.upgrade() {
            waiting.is_following.store(false, Ordering::SeqCst);
        }
    }
}

/// A waiter. Dropping it ends the wait.
struct Waiter<'a> {
    waiting: &'a Waiting,
    id: SessionId,
    notify: Arc<Notify>,
}

impl<'a> Waiter<'a> {
    fn new(waiting: &'a Waiting, id: SessionId) -> Waiter<'a> {
        let mut sessions = waiting.sessions();
        let (notify, count) = sessions.entry(id).or_default();
        *count += 1;
        let notify = Arc::clone(notify);
        drop(sessions);
        Waiter { waiting, id, notify }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut sessions = self.waiting.sessions();
        if let Some((_, count)) = sessions.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&self.id);
            }
        }
    }
}
