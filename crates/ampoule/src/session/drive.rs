//! The only place that does I/O for a session: it asks the state what is to be done, does it, and tells the state.

mod finish;
mod load;
mod save;
mod take;

use super::Session;

impl Session {
    /// The right to do I/O for this session: of the tasks of one request one loads or saves at a time. It ends when the
    /// guard is dropped, also by a cancelled request.
    async fn io(&self) -> tokio::sync::MutexGuard<'_, ()> {
        match self.0.io.try_lock() {
            Ok(io) => io,
            Err(_) => Box::pin(self.0.io.lock()).await,
        }
    }
}
