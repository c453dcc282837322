//! Sends statements on connections of the pool, with a time limit, and sends them again where that can help.

use std::time::{Duration, Instant};

use ampoule_core::Error;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::error::Remedy;
use crate::{MySqlStore, error};

/// How much longer than `command_timeout` the store waits, so that the server's own time limit applies first.
const TIMEOUT_GRACE: Duration = Duration::from_millis(200);

/// The server's answer to a statement.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// How many rows the statement changed.
    pub(crate) affected: u64,
    /// Whether the statement was sent twice, because its connection broke: the first one may have been executed.
    pub(crate) sent_twice: bool,
}

impl Answer {
    /// Returns whether a write matched its row.
    ///
    /// # Errors
    /// The outcome is unknown if it was sent twice and the second one matched no row: the first one may have.
    pub(crate) fn matched_row(&self) -> Result<bool, Error> {
        if self.sent_twice && self.affected == 0 { Err(error::unknown_outcome()) } else { Ok(self.affected > 0) }
    }
}

/// Why a statement has no answer, and what may help.
struct Failure {
    remedy: Remedy,
    error: Error,
}

impl MySqlStore {
    /// Sends a statement, and sends it again after a failure that this can remedy: a broken connection (as all are
    /// after a restart of the server) is replaced, and a missing table is created if the options allow it. All
    /// statements are safe to send twice.
    pub(crate) async fn rows(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Error> {
        let options = &self.0.options;
        let started = Instant::now();
        let (mut sent_twice, mut migrated, mut tries) = (false, false, 0);
        loop {
            let failure = match self.send_once(statement, values.clone()).await {
                Ok(answer) => return Ok(Answer { sent_twice, ..answer }),
                Err(failure) => failure,
            };
            tries += 1;
            match failure.remedy {
                Remedy::Duplicate => return Ok(Answer { sent_twice, ..Answer::default() }),
                Remedy::Reconnect { maybe_done: true } if !sent_twice => sent_twice = true,
                Remedy::RetryConnect if tries == 1 => {}
                // Every connection of the pool may be from before a switchover.
                Remedy::Reconnect { maybe_done: false } if tries <= options.pool.max_connections => {}
                Remedy::CreateTable if options.migrate && !migrated => {
                    self.migrate().await?;
                    migrated = true;
                }
                Remedy::Retry if started.elapsed() < options.pool.command_timeout => {
                    sleep(Duration::from_millis(1 << tries.min(5))).await;
                }
                _ => return Err(failure.error),
            }
        }
    }

    /// Sends a statement in its own task, so that it ends, and its connection stays usable, even if the caller is
    /// cancelled.
    async fn send_once(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Failure> {
        let (store, statement) = (self.clone(), statement.to_owned());
        let task = tokio::spawn(async move {
            let mut conn = store.connection().await?;
            let limit = store.0.options.pool.command_timeout;
            let result = timeout(limit + TIMEOUT_GRACE, execute(&mut conn, &statement, values)).await;
            store.handle_result(conn, result).await
        });
        task.await.unwrap_or_else(|cause| Err(error::task_failed(cause).into()))
    }

    /// Sends several statements without values. Each of them is its own transaction.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        let (store, statements) = (self.clone(), statements.to_owned());
        let task = tokio::spawn(async move {
            let mut conn = store.connection().await?;
            let limit = store.0.options.pool.command_timeout;
            let result = timeout(limit + TIMEOUT_GRACE, conn.query_drop(statements)).await;
            store.handle_result(conn, result).await
        });
        let result: Result<(), Failure> = task.await.unwrap_or_else(|cause| Err(error::task_failed(cause).into()));
        result.map_err(|failure| failure.error)
    }

    /// Returns the answer, or closes a connection that cannot be used any more and returns what may help.
    async fn handle_result<T>(
        &self,
        conn: Conn,
        result: Result<Result<T, mysql_async::Error>, Elapsed>,
    ) -> Result<T, Failure> {
        let cause = match result {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(cause)) => cause,
            // The connection is dropped, and the driver closes it, since its statement has not ended.
            Err(_) => return Err(error::no_answer(self.0.options.pool.command_timeout).into()),
        };
        let remedy = error::remedy(&cause);
        if let Remedy::Reconnect { .. } = remedy {
            let _ = conn.disconnect().await;
        }
        let error = match remedy {
            Remedy::CreateTable => error::missing_table(&self.0.options.table),
            _ => error::from(cause),
        };
        Err(Failure { remedy, error })
    }

    /// Takes a connection from the pool. A failure to connect may be retried, since no statement was sent.
    async fn connection(&self) -> Result<Conn, Failure> {
        let options = &self.0.options;
        let limit = options.pool.connect_timeout + options.pool.pool_timeout;
        match timeout(limit, self.0.pool().get_conn()).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(cause)) => {
                let remedy = match error::remedy(&cause) {
                    Remedy::Reconnect { .. } => Remedy::RetryConnect,
                    _ => Remedy::None,
                };
                Err(Failure { remedy, error: error::from(cause) })
            }
            Err(_) => Err(error::no_connection(limit).into()),
        }
    }
}

async fn execute(conn: &mut Conn, statement: &str, values: Vec<Value>) -> Result<Answer, mysql_async::Error> {
    let result = conn.exec_iter(statement, values).await?;
    let affected = result.affected_rows();
    let rows = result.collect_and_drop().await?;
    Ok(Answer { rows, affected, sent_twice: false })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { remedy: Remedy::None, error }
    }
}
