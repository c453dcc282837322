//! A connection of the pool while a statement has it: what it leads to, and what becomes of it if it is not given back.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ampoule_core::Error;
use deadpool_postgres::{Object, Pool};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::encryption::Encryption;
use crate::{error, process_id};

/// Where connections come from, and what is known of them.
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    /// What a cancellation is sent through, if not in clear.
    pub(crate) tls: Option<Encryption>,
    /// Whether the pool is ours, so that its connections may be set up.
    pub(crate) is_own: bool,
    /// What was said of prepared statements, if anything was.
    pub(crate) prepared_statements: Option<bool>,
    pub(crate) command_timeout: Duration,
    leads_to: AtomicU8,
}

const UNKNOWN: u8 = 0;
const SERVER: u8 = 1;
const POOLER: u8 = 2;

impl Connections {
    pub(crate) fn new(
        pool: Pool,
        tls: Option<Encryption>,
        is_own: bool,
        prepared_statements: Option<bool>,
        command_timeout: Duration,
    ) -> Connections {
        let leads_to = AtomicU8::new(UNKNOWN);
        Connections { pool, tls, is_own, prepared_statements, command_timeout, leads_to }
    }

    /// Whether a name of a prepared statement means what it was prepared as.
    pub(crate) fn names_are_safe(&self) -> bool {
        self.prepared_statements.unwrap_or(self.leads_to.load(Ordering::Relaxed) == SERVER)
    }

    /// From now on statements have no names.
    pub(crate) fn found_pooler(&self) {
        self.leads_to.store(POOLER, Ordering::Relaxed);
    }

    /// A connection that is free. One that was not used before is looked at first.
    pub(crate) async fn get(&self) -> Result<Borrowed<'_>, Error> {
        let object = self.pool.get().await.map_err(error::of_pool)?;
        let is_new = Object::metrics(&object).recycle_count == 0;
        let borrowed = Borrowed { object: Some(object), is_new, connections: self };
        if is_new || self.leads_to.load(Ordering::Relaxed) == UNKNOWN {
            match timeout(self.command_timeout, self.look_at(borrowed.client())).await {
                Ok(looked) => looked.map_err(error::from)?,
                Err(_) => return Err(error::no_answer(self.command_timeout)),
            }
        }
        Ok(borrowed)
    }

    /// Whether a connection leads to the process of the server that was named when it was made: a pooler, which gives a
    /// statement to any process, names one that there is not. A connection of ours that leads to the server is set up.
    async fn look_at(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let process = process_id::of(client).await;
        let set_up = format!(
            "set_config('statement_timeout', '{}', false) IS NULL \
             OR set_config('default_transaction_isolation', 'read committed', false) IS NULL",
            self.command_timeout.as_millis().max(1)
        );
        let set_up = if self.is_own { set_up.as_str() } else { "false" };
        let query = format!("SELECT CASE WHEN pg_backend_pid() = {process} THEN ({set_up}) IS NULL ELSE true END");
        let answer = client.simple_query(&query).await?;
        let is_server =
            answer.iter().any(|part| matches!(part, SimpleQueryMessage::Row(row) if row.get(0) == Some("f")));
        if !is_server {
            self.found_pooler();
        }
        // A pooler that was found once may be behind any other connection.
        let _ = self.leads_to.compare_exchange(UNKNOWN, SERVER, Ordering::Relaxed, Ordering::Relaxed);
        Ok(())
    }
}

/// A connection while a statement has it. Unless it is [given back](Borrowed::give_back) its statement is cancelled, or
/// waited for, before others have its place in the pool.
pub(crate) struct Borrowed<'a> {
    object: Option<Object>,
    /// Whether nothing was done with it before.
    pub(crate) is_new: bool,
    connections: &'a Connections,
}

impl Borrowed<'_> {
    pub(crate) fn client(&self) -> &Object {
        self.object.as_ref().unwrap_or_else(|| unreachable!("only methods that consume it take the connection out"))
    }

    /// The statement has ended, and the connection may serve others.
    pub(crate) fn give_back(mut self) {
        self.object = None;
    }

    /// The statement has ended, and the connection is of no use.
    pub(crate) fn close(mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let connections = self.connections;
        let (tls, limit) = (connections.tls.clone(), connections.command_timeout);
        match (Handle::try_current(), connections.leads_to.load(Ordering::Relaxed)) {
            (Ok(runtime), SERVER) => drop(runtime.spawn(cancel(object, tls, limit))),
            (Ok(runtime), _) => drop(runtime.spawn(wait(object, limit * PATIENCE))),
            (Err(_), _) => drop(Object::take(object)),
        }
    }
}

/// How many times as long as a statement may take it is waited for behind a pooler.
const PATIENCE: u32 = 10;

/// How long a statement whose caller went away may continue before it is cancelled. Most end by then, and need no connection to
/// be opened again.
const SOON: Duration = Duration::from_millis(100);

/// Cancels what runs on a connection and closes it. Its place in the pool is taken until the server has ended the
/// statement, within bounds: a connection that is made instead would be one more at the server.
async fn cancel(object: Object, tls: Option<Encryption>, limit: Duration) {
    if let Ok(Ok(_)) = timeout(SOON, ends(&object)).await {
        return;
    }
    let token = object.cancel_token();
    let cancel = async {
        match tls {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    };
    // Where it cannot be sent the statement may end by itself.
    let _ = timeout(limit, cancel).await;
    let _ = timeout(limit, ends(&object)).await;
    // The request may still be on its way, and would meet the next statement.
    drop(Object::take(object));
}

/// Waits until what runs on a connection has ended, and gives the connection back. A pooler is sent no request to cancel: in
/// PgBouncer 1.17 to 1.19 it can end the process (its issues 801, 822, 847), and in all it may meet the statement of another
/// client. Nor is the connection closed before its time, since the pooler would leave the server's process to itself.
async fn wait(object: Object, limit: Duration) {
    if !matches!(timeout(limit, ends(&object)).await, Ok(Ok(_))) {
        drop(Object::take(object));
    }
}

/// An empty query is answered in turn, after what was sent before.
async fn ends(object: &Object) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
    object.simple_query("").await
}
