//! Sends statements on connections of the pool, with a time limit, and sends them again where that can help.

use std::time::{Duration, Instant};

use ampoule_core::Error;
use deadpool_postgres::Object;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connection::PooledConnection;
use crate::error::Remedy;
use crate::statements::Value;
use crate::{PostgresStore, error};

/// How much longer than `command_timeout` the store waits, so that the server's own time limit applies first.
const TIMEOUT_GRACE: Duration = Duration::from_millis(200);

/// The server's answer to a statement.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// Whether the statement was sent twice, because its connection broke: the first one may have been executed.
    pub(crate) sent_twice: bool,
}

impl Answer {
    /// Returns whether a write matched its row.
    ///
    /// # Errors
    /// The outcome is unknown if it was sent twice and the second one matched no row: the first one may have.
    pub(crate) fn matched_row(&self) -> Result<bool, Error> {
        if self.sent_twice && self.rows.is_empty() { Err(error::unknown_outcome()) } else { Ok(!self.rows.is_empty()) }
    }
}

/// Why a statement has no answer, and what may help.
struct Failure {
    remedy: Remedy,
    error: Error,
}

/// What to send.
#[derive(Clone, Copy)]
enum Command<'a> {
    /// One statement and its values.
    Statement(&'a str, &'a [Value<'a>]),
    /// Several statements without values. They need no `BEGIN`: the server runs them as one transaction, and rolls it
    /// back if one of them fails.
    Batch(&'a str),
}

impl PostgresStore {
    pub(crate) async fn rows(&self, statement: &str, values: &[Value<'_>]) -> Result<Answer, Error> {
        self.send_with_retry(Command::Statement(statement, values)).await
    }

    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        self.send_with_retry(Command::Batch(statements)).await.map(drop)
    }

    /// Sends a command, and sends it again after a failure that this can remedy: a broken connection (as all are after
    /// a restart of the server) is replaced, and a missing table is created if the options allow it. All statements are
    /// safe to send twice.
    async fn send_with_retry(&self, command: Command<'_>) -> Result<Answer, Error> {
        let started = Instant::now();
        let (mut sent_twice, mut tries) = (false, 0);
        let mut may_migrate = self.0.migrate && matches!(command, Command::Statement(..));
        loop {
            let failure = match self.send_once(command).await {
                Ok(rows) => return Ok(Answer { rows, sent_twice }),
                Err(failure) => failure,
            };
            tries += 1;
            match failure.remedy {
                Remedy::Reconnect { maybe_done: true } if !sent_twice => sent_twice = true,
                Remedy::Reconnect { maybe_done: false } | Remedy::UnnamedStatement => {}
                Remedy::CreateTable if may_migrate => {
                    Box::pin(self.migrate()).await?;
                    may_migrate = false;
                }
                Remedy::Retry if started.elapsed() < self.0.connections.command_timeout => {
                    sleep(Duration::from_millis(1 << tries.min(5))).await;
                }
                _ => return Err(failure.error),
            }
        }
    }

    async fn send_once(&self, command: Command<'_>) -> Result<Vec<Row>, Failure> {
        let connections = &self.0.connections;
        let connection = connections.get().await?;
        let (client, is_named) = (connection.client(), connections.may_name_statements());
        let rows = async {
            match command {
                Command::Batch(statements) => client.batch_execute(statements).await.map(|()| Vec::new()),
                Command::Statement(statement, values) => query(client, statement, values, is_named).await,
            }
        };
        match timeout(connections.command_timeout + TIMEOUT_GRACE, rows).await {
            Ok(Ok(rows)) => {
                connection.release();
                Ok(rows)
            }
            Ok(Err(cause)) => Err(self.handle_failure(connection, cause)),
            // The connection is dropped, which ends the statement.
            Err(_) => Err(error::no_answer(connections.command_timeout).into()),
        }
    }

    /// Releases or closes the connection of a failed statement, and returns what may help.
    fn handle_failure(&self, connection: PooledConnection<'_>, cause: tokio_postgres::Error) -> Failure {
        let connections = &self.0.connections;
        let remedy = match error::remedy(&cause) {
            // Another new connection would fail in the same way.
            Remedy::Reconnect { maybe_done: false } if connection.is_new => Remedy::None,
            Remedy::UnnamedStatement if connections.prepared_statements == Some(true) => Remedy::None,
            remedy => remedy,
        };
        match remedy {
            Remedy::Retry | Remedy::CreateTable => connection.release(),
            Remedy::UnnamedStatement => {
                connections.mark_as_pooler();
                connection.close();
            }
            Remedy::Reconnect { .. } => connection.close(),
            Remedy::None if error::is_of_statement(&cause) => connection.release(),
            Remedy::None => connection.close(),
        }
        let error = match remedy {
            Remedy::CreateTable => error::missing_table(&self.0.statements.table),
            _ => error::from(cause),
        };
        Failure { remedy, error }
    }
}

async fn query(
    client: &Object,
    statement: &str,
    values: &[Value<'_>],
    is_named: bool,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let typed: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(Value::typed).collect();
    if !is_named {
        return client.query_typed(statement, &typed).await;
    }
    let (values, types): (Vec<_>, Vec<_>) = typed.into_iter().unzip();
    let statement = client.prepare_typed_cached(statement, &types).await?;
    client.query(&statement, &values).await
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { remedy: Remedy::None, error }
    }
}
