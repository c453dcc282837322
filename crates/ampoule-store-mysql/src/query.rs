//! One statement on a connection of the pool, within its time, and again where that is right.

use std::time::{Duration, Instant};

use ampoule_core::Error;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::error::Remedy;
use crate::{MySqlStore, error};

/// How much longer than the server a statement is waited for, so that the server's own limit comes first.
const GRACE: Duration = Duration::from_millis(200);

/// What came back.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// How many rows were changed.
    pub(crate) affected: u64,
    /// Whether the statement was sent twice, since a connection broke under it.
    pub(crate) again: bool,
}

impl Answer {
    /// Whether a write found the row that it was for. If it was sent twice and found none, the first sending may have.
    pub(crate) fn found_its_row(&self) -> Result<bool, Error> {
        if self.again && self.affected == 0 { Err(error::unknown()) } else { Ok(self.affected > 0) }
    }
}

/// Why there is no answer.
struct Failed {
    remedy: Remedy,
    error: Error,
}

impl MySqlStore {
    /// A connection that broke, such as those from before a restart of the server, is replaced, and a table that is missing
    /// is made, if that is allowed. All statements may be sent twice.
    pub(crate) async fn rows(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Error> {
        let options = &self.0.options;
        let started = Instant::now();
        let (mut again, mut made, mut tries) = (false, false, 0);
        loop {
            let failed = match self.try_rows(statement, values.clone()).await {
                Ok(answer) => return Ok(Answer { again, ..answer }),
                Err(failed) => failed,
            };
            tries += 1;
            match failed.remedy {
                Remedy::Duplicate => return Ok(Answer { again, ..Answer::default() }),
                Remedy::Reconnect { maybe_done: true } if !again => again = true,
                Remedy::Connect if tries == 1 => {}
                // Every connection of the pool may be of the time before a switchover.
                Remedy::Reconnect { maybe_done: false } if tries <= options.pool.max_connections => {}
                Remedy::MakeTable if options.migrate && !made => {
                    self.migrate().await?;
                    made = true;
                }
                Remedy::Again if started.elapsed() < options.pool.command_timeout => {
                    sleep(Duration::from_millis(1 << tries.min(5))).await;
                }
                _ => return Err(failed.error),
            }
        }
    }

    /// In a task of its own: a connection whose caller goes away in the middle of an answer could not be used again.
    async fn try_rows(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Failed> {
        let (store, statement) = (self.clone(), statement.to_owned());
        let task = tokio::spawn(async move {
            let mut conn = store.connection().await?;
            let limit = store.0.options.pool.command_timeout;
            let done = timeout(limit + GRACE, run(&mut conn, &statement, values)).await;
            store.settle(conn, done).await
        });
        task.await.unwrap_or_else(|cause| Err(error::broken_off(cause).into()))
    }

    /// Several statements without values, each of them by itself.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        let (store, statements) = (self.clone(), statements.to_owned());
        let task = tokio::spawn(async move {
            let mut conn = store.connection().await?;
            let limit = store.0.options.pool.command_timeout;
            let done = timeout(limit + GRACE, conn.query_drop(statements)).await;
            store.settle(conn, done).await
        });
        let done: Result<(), Failed> = task.await.unwrap_or_else(|cause| Err(error::broken_off(cause).into()));
        done.map_err(|failed| failed.error)
    }

    /// What an answer asks for, and what becomes of its connection.
    async fn settle<T>(&self, conn: Conn, done: Result<Result<T, mysql_async::Error>, Elapsed>) -> Result<T, Failed> {
        let cause = match done {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(cause)) => cause,
            // The driver closes a connection that is dropped in the middle of an answer.
            Err(_) => return Err(error::no_answer(self.0.options.pool.command_timeout).into()),
        };
        let remedy = error::remedy(&cause);
        if let Remedy::Reconnect { .. } = remedy {
            let _ = conn.disconnect().await;
        }
        let error = match remedy {
            Remedy::MakeTable => error::no_table(&self.0.options.table),
            _ => error::from(cause),
        };
        Err(Failed { remedy, error })
    }

    /// One that is not made may be made the next time; nothing was done by then.
    async fn connection(&self) -> Result<Conn, Failed> {
        let options = &self.0.options;
        let limit = options.pool.connect_timeout + options.pool.pool_timeout;
        match timeout(limit, self.0.pool().get_conn()).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(cause)) => {
                let remedy = match error::remedy(&cause) {
                    Remedy::Reconnect { .. } => Remedy::Connect,
                    _ => Remedy::None,
                };
                Err(Failed { remedy, error: error::from(cause) })
            }
            Err(_) => Err(error::no_connection(limit).into()),
        }
    }
}

async fn run(conn: &mut Conn, statement: &str, values: Vec<Value>) -> Result<Answer, mysql_async::Error> {
    let result = conn.exec_iter(statement, values).await?;
    let affected = result.affected_rows();
    let rows = result.collect_and_drop().await?;
    Ok(Answer { rows, affected, again: false })
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { remedy: Remedy::None, error }
    }
}
