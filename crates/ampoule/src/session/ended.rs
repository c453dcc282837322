//! `Session::ended`: a future for sockets, streams and tasks that outlast the request.

use std::future::Future;
use std::sync::Arc;

use ampoule_core::Time;

use super::Session;
use crate::backend::Backend;
use crate::endings::{POLL_INTERVAL, is_final};
use crate::shared::Shared;

impl Session {
    /// Resolves when the session has ended: by a logout, a revocation, a limit or its timeout, in this process or any
    /// other. For a WebSocket, a stream of events, or a task that outlasts its request.
    ///
    /// ```
    /// # async fn next_message() -> Option<String> { None }
    /// async fn socket(session: ampoule::Session) {
    ///     let mut ended = std::pin::pin!(session.ended());
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut ended => break, // close the socket
    ///             message = next_message() => {
    ///                 let Some(message) = message else { break };
    ///                 println!("{message}");
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// | the end comes | it resolves |
    /// |---|---|
    /// | in another process or layer, and the store reports changes, as Redis does | at once; within 30 seconds if a report was lost |
    /// | in another process or layer, and the store does not report changes | within 5 seconds |
    /// | by the timeout | as in the two rows above |
    ///
    /// Where the future resolves, [`reload`](Session::reload) returns `false`: also for a session that was never saved,
    /// and for one that a login has replaced, which the page should open again with its new cookie. While the store
    /// cannot be reached, the future waits. A session in its own cookie ends only by its deadline, as this request
    /// knows it.
    ///
    /// The future holds no lock, does not count as a use, and keeps the session neither alive nor loaded. Each call
    /// reads the store at once and then at the intervals above, so pin one future outside of a loop, as above, rather
    /// than creating one for each message. It needs a tokio runtime.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.clone();
        async move {
            while let Err(error) = session.load_once().await.map(drop) {
                if is_final(&error) {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            let known = session.state().live().map(|live| (live.snapshot.id, live.snapshot.deadline));
            let shared = Arc::clone(&session.0.shared);
            drop(session);
            let Some((id, deadline)) = known else { return };
            match &shared.backend {
                Backend::Store(store) => shared.endings.wait(store, id).await,
                Backend::Cookie(_) => wait_until(&shared, deadline).await,
            }
        }
    }
}

async fn wait_until(shared: &Shared, deadline: Time) {
    let clock = &shared.options.clock;
    while clock.now() < deadline {
        tokio::time::sleep(deadline.since(clock.now()).min(POLL_INTERVAL)).await;
    }
}
