//! The only module that does I/O for a session: it asks the state what to do, does it, and reports the result.

mod finish;
mod load;
mod save;
mod take;

use super::Session;

impl Session {
    /// Acquires the lock for the session's I/O: of the tasks of one request, one at a time loads or saves. The lock is
    /// released when the guard is dropped, also when the request is cancelled.
    async fn io(&self) -> tokio::sync::MutexGuard<'_, ()> {
        match self.0.io.try_lock() {
            Ok(io) => io,
            Err(_) => Box::pin(self.0.io.lock()).await,
        }
    }
}
