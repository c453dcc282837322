//! Connections of the pool: whether they lead to a server or to a pooler, and what happens to one that is not released.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ampoule_core::Error;
use deadpool_postgres::{Object, Pool};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::tls::TlsConnector;
use crate::{error, process_id};

/// The pool, and what is known about the other end of its connections.
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    /// The connector for cancel requests; `None` sends them unencrypted.
    pub(crate) tls: Option<TlsConnector>,
    /// Whether the pool is the store's own, whose connections it may configure.
    pub(crate) is_own_pool: bool,
    /// Whether to use named prepared statements; `None` uses them unless there is a pooler.
    pub(crate) prepared_statements: Option<bool>,
    pub(crate) command_timeout: Duration,
    peer: AtomicU8,
}

/// The values of `peer`.
const UNKNOWN: u8 = 0;
const SERVER: u8 = 1;
const POOLER: u8 = 2;

impl Connections {
    pub(crate) fn new(
        pool: Pool,
        tls: Option<TlsConnector>,
        is_own_pool: bool,
        prepared_statements: Option<bool>,
        command_timeout: Duration,
    ) -> Connections {
        let peer = AtomicU8::new(UNKNOWN);
        Connections { pool, tls, is_own_pool, prepared_statements, command_timeout, peer }
    }

    /// Returns whether statements may be prepared under a name, which behind a pooler may belong to another client.
    pub(crate) fn may_name_statements(&self) -> bool {
        self.prepared_statements.unwrap_or(self.peer.load(Ordering::Relaxed) == SERVER)
    }

    /// Records that there is a pooler. From then on statements are unnamed.
    pub(crate) fn mark_as_pooler(&self) {
        self.peer.store(POOLER, Ordering::Relaxed);
    }

    /// Takes a connection from the pool. A new one is probed first.
    pub(crate) async fn get(&self) -> Result<PooledConnection<'_>, Error> {
        let object = self.pool.get().await.map_err(error::from_pool)?;
        let is_new = Object::metrics(&object).recycle_count == 0;
        let connection = PooledConnection { object: Some(object), is_new, connections: self };
        if is_new || self.peer.load(Ordering::Relaxed) == UNKNOWN {
            match timeout(self.command_timeout, self.probe(connection.client())).await {
                Ok(probed) => probed.map_err(error::from)?,
                Err(_) => return Err(error::no_answer(self.command_timeout)),
            }
        }
        Ok(connection)
    }

    /// Finds out whether a connection leads to a server or to a pooler, and configures it if it leads to a server and
    /// belongs to the store's own pool.
    ///
    /// A server announces the id of its process when a connection starts. A pooler announces an id that no process has,
    /// and may give each statement to another process.
    async fn probe(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let process = process_id::of(client).await;
        let set_up = format!(
            "set_config('statement_timeout', '{}', false) IS NULL \
             OR set_config('default_transaction_isolation', 'read committed', false) IS NULL",
            self.command_timeout.as_millis().max(1)
        );
        let set_up = if self.is_own_pool { set_up.as_str() } else { "false" };
        let query = format!("SELECT CASE WHEN pg_backend_pid() = {process} THEN ({set_up}) IS NULL ELSE true END");
        let answer = client.simple_query(&query).await?;
        let is_server =
            answer.iter().any(|part| matches!(part, SimpleQueryMessage::Row(row) if row.get(0) == Some("f")));
        if !is_server {
            self.mark_as_pooler();
        }
        // If one connection leads to a pooler, any other may too, so the mark stays.
        let _ = self.peer.compare_exchange(UNKNOWN, SERVER, Ordering::Relaxed, Ordering::Relaxed);
        Ok(())
    }
}

/// A connection that is taken from the pool. If it is dropped without a [release](PooledConnection::release), its place
/// in the pool stays taken until its statement has ended: at a server the statement is cancelled, behind a pooler it is
/// waited for.
pub(crate) struct PooledConnection<'a> {
    object: Option<Object>,
    /// Whether no statement has used it yet.
    pub(crate) is_new: bool,
    connections: &'a Connections,
}

impl PooledConnection<'_> {
    pub(crate) fn client(&self) -> &Object {
        self.object.as_ref().unwrap_or_else(|| unreachable!("only methods that consume `self` take the connection out"))
    }

    /// Puts the connection back into the pool, after its statement has ended.
    pub(crate) fn release(mut self) {
        self.object = None;
    }

    /// Closes the connection, which cannot be used any more.
    pub(crate) fn close(mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let connections = self.connections;
        let (tls, limit) = (connections.tls.clone(), connections.command_timeout);
        match (Handle::try_current(), connections.peer.load(Ordering::Relaxed)) {
            (Ok(runtime), SERVER) => drop(runtime.spawn(cancel(object, tls, limit))),
            (Ok(runtime), _) => drop(runtime.spawn(wait(object, limit * POOLER_WAIT_FACTOR))),
            (Err(_), _) => drop(Object::take(object)),
        }
    }
}

/// Behind a pooler an abandoned statement is waited for, up to this many times its time limit.
const POOLER_WAIT_FACTOR: u32 = 10;

/// How long an abandoned statement may continue before it is cancelled. Most end within this time, and their connection
/// can be used again.
const CANCEL_DELAY: Duration = Duration::from_millis(100);

/// Cancels the statement of a connection, then closes the connection. Its place in the pool stays taken until the
/// statement has ended, or until the time limit: a connection opened in its place would be one more on the server.
async fn cancel(object: Object, tls: Option<TlsConnector>, limit: Duration) {
    if let Ok(Ok(_)) = timeout(CANCEL_DELAY, until_idle(&object)).await {
        return;
    }
    let token = object.cancel_token();
    let cancel = async {
        match tls {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    };
    // If the request cannot be sent, the statement may still end by itself.
    let _ = timeout(limit, cancel).await;
    let _ = timeout(limit, until_idle(&object)).await;
    // The request may arrive late and would then cancel the next statement, so the connection is not used again.
    drop(Object::take(object));
}

/// Waits until the statement of a connection has ended, then puts the connection back into the pool. A pooler is sent
/// no cancel request: it can crash PgBouncer 1.17 to 1.19 (its issues 801, 822, 847), and with any version it may
/// cancel the statement of another client. The connection is not closed early either, since the statement would
/// continue on the server all the same.
async fn wait(object: Object, limit: Duration) {
    if !matches!(timeout(limit, until_idle(&object)).await, Ok(Ok(_))) {
        drop(Object::take(object));
    }
}

/// Waits for the statements that were sent before, by an empty query: a connection answers in order.
async fn until_idle(object: &Object) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
    object.simple_query("").await
}
