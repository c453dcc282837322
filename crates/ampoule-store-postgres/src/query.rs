//! One statement on a connection of the pool, within its time, and again where that is right.

use std::time::{Duration, Instant};

use ampoule_core::Error;
use deadpool_postgres::Object;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connection::Borrowed;
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

/// What is sent.
#[derive(Clone, Copy)]
enum Work<'a> {
    /// One statement and its values.
    Statement(&'a str, &'a [Value<'a>]),
    /// Several without values. Without a `BEGIN` they are one transaction all the same, which the server ends where one of
    /// them fails.
    Batch(&'a str),
}

impl PostgresStore {
    pub(crate) async fn rows(&self, statement: &str, values: &[Value<'_>]) -> Result<Answer, Error> {
        self.run(Work::Statement(statement, values)).await
    }

    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        self.run(Work::Batch(statements)).await.map(drop)
    }

    /// A connection that broke, such as those from before a restart of the server, is replaced, and a table that is missing
    /// is made, if that is allowed. All statements may be sent twice.
    async fn run(&self, work: Work<'_>) -> Result<Answer, Error> {
        let started = Instant::now();
        let (mut again, mut tries) = (false, 0);
        let mut may_make = self.0.migrate && matches!(work, Work::Statement(..));
        loop {
            let failed = match self.try_once(work).await {
                Ok(rows) => return Ok(Answer { rows, again }),
                Err(failed) => failed,
            };
            tries += 1;
            match failed.remedy {
                Remedy::Reconnect { maybe_done: true } if !again => again = true,
                Remedy::Reconnect { maybe_done: false } | Remedy::Unnamed => {}
                Remedy::MakeTable if may_make => {
                    Box::pin(self.migrate()).await?;
                    may_make = false;
                }
                Remedy::Again if started.elapsed() < self.0.connections.command_timeout => {
                    sleep(Duration::from_millis(1 << tries.min(5))).await;
                }
                _ => return Err(failed.error),
            }
        }
    }

    async fn try_once(&self, work: Work<'_>) -> Result<Vec<Row>, Failed> {
        let connections = &self.0.connections;
        let borrowed = connections.get().await?;
        let (client, are_named) = (borrowed.client(), connections.names_are_safe());
        let work = async {
            match work {
                Work::Batch(statements) => client.batch_execute(statements).await.map(|()| Vec::new()),
                Work::Statement(statement, values) => query(client, statement, values, are_named).await,
            }
        };
        match timeout(connections.command_timeout + GRACE, work).await {
            Ok(Ok(rows)) => {
                borrowed.give_back();
                Ok(rows)
            }
            Ok(Err(cause)) => Err(self.settle(borrowed, cause)),
            // What was borrowed is dropped, which ends the statement.
            Err(_) => Err(error::no_answer(connections.command_timeout).into()),
        }
    }

    /// What an error asks for, and what becomes of its connection.
    fn settle(&self, borrowed: Borrowed<'_>, cause: tokio_postgres::Error) -> Failed {
        let connections = &self.0.connections;
        let remedy = match error::remedy(&cause) {
            // Another new connection would do no better.
            Remedy::Reconnect { maybe_done: false } if borrowed.is_new => Remedy::None,
            Remedy::Unnamed if connections.prepared_statements == Some(true) => Remedy::None,
            remedy => remedy,
        };
        match remedy {
            Remedy::Again | Remedy::MakeTable => borrowed.give_back(),
            Remedy::Unnamed => {
                connections.found_pooler();
                borrowed.close();
            }
            Remedy::Reconnect { .. } => borrowed.close(),
            Remedy::None if error::is_of_statement(&cause) => borrowed.give_back(),
            Remedy::None => borrowed.close(),
        }
        let error = match remedy {
            Remedy::MakeTable => error::no_table(&self.0.statements.table),
            _ => error::from(cause),
        };
        Failed { remedy, error }
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

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { remedy: Remedy::None, error }
    }
}
