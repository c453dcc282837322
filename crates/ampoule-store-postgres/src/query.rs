//! One statement on a connection of the pool, within its time, and again where that is right.

use std::time::{Duration, Instant};

use ampoule_core::Error;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Remedy;
use crate::statements::Value;
use crate::{PostgresStore, error};

/// How much longer than the server a statement is waited for, so that the server's own limit comes first.
const GRACE: Duration = Duration::from_millis(200);

/// What came back.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// Whether the statement was sent twice, since a connection broke under it.
    pub(crate) again: bool,
}

impl Answer {
    /// Whether a write found the row that it was for. If it was sent twice and found none, the first sending may have.
    pub(crate) fn found_its_row(&self) -> Result<bool, Error> {
        if self.again && self.rows.is_empty() { Err(error::unknown()) } else { Ok(!self.rows.is_empty()) }
    }
}

/// Why there are no rows.
struct Failed {
    remedy: Remedy,
    error: Error,
}

impl PostgresStore {
    /// A connection that broke, such as those from before a restart of the server, is replaced, and a table that is missing
    /// is made, if that is allowed. All statements may be sent twice.
    pub(crate) async fn rows(&self, statement: &str, values: &[Value<'_>]) -> Result<Answer, Error> {
        let started = Instant::now();
        let (mut again, mut made, mut tries) = (false, false, 0);
        loop {
            let failed = match self.try_rows(statement, values).await {
                Ok(rows) => return Ok(Answer { rows, again }),
                Err(failed) => failed,
            };
            tries += 1;
            match failed.remedy {
                Remedy::Reconnect { maybe_done: true } if !again => again = true,
                Remedy::Reconnect { maybe_done: false } | Remedy::Unnamed => {}
                Remedy::MakeTable if self.0.migrate && !made => {
                    self.migrate().await?;
                    made = true;
                }
                Remedy::Again if started.elapsed() < self.0.connections.command_timeout => {
                    sleep(Duration::from_millis(1 << tries.min(5))).await;
                }
                _ => return Err(failed.error),
            }
        }
    }

    async fn try_rows(&self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failed> {
        let connections = &self.0.connections;
        let borrowed = connections.get().await.map_err(Failed::from)?;
        let Some(client) = borrowed.client() else { return Ok(Vec::new()) };
        let work = async {
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(Value::typed).collect();
            if !connections.names_are_safe() {
                return client.query_typed(statement, &typed).await;
            }
            let (values, types): (Vec<_>, Vec<_>) = typed.into_iter().unzip();
            let statement = client.prepare_typed_cached(statement, &types).await?;
            client.query(&statement, &values).await
        };
        let done = timeout(connections.command_timeout + GRACE, work).await;
        let cause = match done {
            Ok(Ok(rows)) => {
                borrowed.give_back();
                return Ok(rows);
            }
            Ok(Err(cause)) => cause,
            // What was borrowed is dropped, which cancels the statement.
            Err(_) => return Err(error::no_answer(connections.command_timeout).into()),
        };
        let mut remedy = error::remedy(&cause);
        match remedy {
            Remedy::Reconnect { maybe_done } => {
                // A new connection that says no is as good as any.
                if borrowed.is_new && !maybe_done {
                    remedy = Remedy::None;
                }
                borrowed.close();
            }
            Remedy::Unnamed => {
                if connections.prepared_statements == Some(true) {
                    remedy = Remedy::None;
                }
                connections.found_pooler();
                borrowed.close();
            }
            _ => borrowed.give_back(),
        }
        Err(Failed { remedy, error: self.explain(remedy, error::from(cause)) })
    }

    /// Several statements without values. Without a `BEGIN` they are one transaction all the same, which the server ends
    /// where one of them fails.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let connections = &self.0.connections;
            let borrowed = connections.get().await?;
            let Some(client) = borrowed.client() else { return Ok(()) };
            let done = timeout(connections.command_timeout + GRACE, client.batch_execute(statements)).await;
            let Ok(done) = done else { return Err(error::no_answer(connections.command_timeout)) };
            let Err(cause) = done else {
                borrowed.give_back();
                return Ok(());
            };
            match error::remedy(&cause) {
                Remedy::Again if started.elapsed() < connections.command_timeout => borrowed.give_back(),
                Remedy::Reconnect { maybe_done: false } if !borrowed.is_new => borrowed.close(),
                Remedy::Reconnect { .. } => {
                    borrowed.close();
                    return Err(error::from(cause));
                }
                _ => {
                    borrowed.give_back();
                    return Err(error::from(cause));
                }
            }
        }
    }

    fn explain(&self, remedy: Remedy, error: Error) -> Error {
        if remedy != Remedy::MakeTable {
            return error;
        }
        error::no_table(&self.0.statements.table)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { remedy: Remedy::None, error }
    }
}
