//! The end of a session, for what outlasts the request: sockets, streams, tasks.

use std::future::Future;
use std::sync::Arc;

use ampoule_core::Time;

use super::Session;
use crate::backend::Backend;
use crate::endings::{POLL, is_final};
use crate::shared::Shared;

impl Session {
    /// Resolves when the session has ended: by a logout, a revocation, a limit or its timeout, in this process or any
    /// other. For what outlasts its request: a WebSocket, a stream of events, a task.
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
    /// | in this process, through this layer | at once |
    /// | in another process or layer, and the store tells of changes, as Redis does | at once; within 30 seconds where what it told was missed |
    /// | in another process or layer, and the store does not tell | within 5 seconds |
    /// | by the timeout | as in the two rows above |
    ///
    /// It resolves where [`reload`](Session::reload) says `false`: also for a session that was never saved, and for one that a
    /// login has left behind, which the page should open again with its new cookie. While the store cannot be reached it
    /// waits. A session in its own cookie is ended by nothing but its deadline, as this request knows it.
    ///
    /// It holds no lock, does not count as a use, and keeps the session neither alive nor loaded. Each call looks at the store
    /// now and at the intervals above, so pin one outside of a loop, as above, rather than making one for each message. It
    /// takes a runtime of tokio.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.clone();
        async move {
            while let Err(error) = session.load_once().await.map(drop) {
                if is_final(&error) {
                    return;
                }
                tokio::time::sleep(POLL).await;
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
        tokio::time::sleep(deadline.since(clock.now()).min(POLL)).await;
    }
}
