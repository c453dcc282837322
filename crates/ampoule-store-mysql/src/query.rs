//! One statement on a connection of the pool, within its time, and once more where the connection was stale.

use ampoule_core::{Error, ErrorKind};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tokio::time::timeout;

use crate::{MySqlStore, error};

/// Statements that a deadlock rolled back are tried so often: the server chose them so that another could go on.
const DEADLOCKS: u32 = 10;

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

impl MySqlStore {
    /// A connection that broke, such as those from before a restart of the server, is replaced once, and a table that
    /// is missing is made, if that is allowed. All statements may be sent twice.
    pub(crate) async fn rows(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Error> {
        let again = match self.through_deadlocks(statement, values.clone()).await {
            Err(Failed::Broken(_)) => true,
            Err(Failed::Unconnected(_)) => false,
            Err(Failed::NoTable(_)) if self.0.options.migrate => {
                self.make_table().await?;
                false
            }
            Err(failed) => return Err(failed.into_error()),
            Ok(answer) => return Ok(answer),
        };
        let answer = self.through_deadlocks(statement, values).await.map_err(Failed::into_error)?;
        Ok(Answer { again, ..answer })
    }

    async fn through_deadlocks(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Failed> {
        for _ in 1..DEADLOCKS {
            match self.try_rows(statement, values.clone()).await {
                Err(Failed::Deadlock(_)) => tokio::task::yield_now().await,
                answer => return answer,
            }
        }
        self.try_rows(statement, values).await
    }

    /// In a task of its own: a connection whose caller goes away in the middle of an answer could not be used again.
    async fn try_rows(&self, statement: &str, values: Vec<Value>) -> Result<Answer, Failed> {
        let (store, statement) = (self.clone(), statement.to_owned());
        let task = tokio::spawn(async move {
            let mut conn = store.connection().await?;
            let work = run(&mut conn, &statement, values);
            match timeout(store.0.options.command_timeout, work).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(cause)) if error::is_duplicate(&cause) => Ok(Answer::default()),
                Ok(Err(cause)) => Err(store.sort(cause)),
                Err(_) => Err(store.no_answer()),
            }
        });
        task.await.unwrap_or_else(|cause| Err(Failed::For(error::broken_off(cause))))
    }

    /// Makes the table if it is missing.
    pub(crate) async fn make_table(&self) -> Result<(), Error> {
        let mut conn = self.connection().await.map_err(Failed::into_error)?;
        let made = timeout(self.0.options.command_timeout, conn.query_drop(&self.0.statements.schema)).await;
        made.unwrap_or(Ok(())).map_err(error::from)
    }

    async fn connection(&self) -> Result<Conn, Failed> {
        let options = &self.0.options;
        let limit = options.connect_timeout + options.pool_timeout;
        match timeout(limit, self.0.pool().get_conn()).await {
            Ok(conn) => conn.map_err(|cause| match self.sort(cause) {
                Failed::Broken(error) => Failed::Unconnected(error),
                failed => failed,
            }),
            Err(_) => {
                let message = format!("MySQL gave no connection within {limit:?} (connect_timeout, pool_timeout)");
                Err(Failed::For(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }

    fn no_answer(&self) -> Failed {
        let message = format!("MySQL gave no answer within {:?} (command_timeout)", self.0.options.command_timeout);
        Failed::For(Error::new(ErrorKind::Timeout, message))
    }

    fn sort(&self, cause: mysql_async::Error) -> Failed {
        if error::is_missing_table(&cause) {
            let table = &self.0.options.table;
            let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
            return Failed::NoTable(Error::new(ErrorKind::Config, message).because(cause));
        }
        let sort = match &cause {
            cause if error::is_broken(cause) => Failed::Broken,
            cause if error::is_deadlock(cause) => Failed::Deadlock,
            _ => Failed::For,
        };
        sort(error::from(cause))
    }
}

async fn run(conn: &mut Conn, statement: &str, values: Vec<Value>) -> Result<Answer, mysql_async::Error> {
    let result = conn.exec_iter(statement, values).await?;
    let affected = result.affected_rows();
    let rows = result.collect_and_drop().await?;
    Ok(Answer { rows, affected, again: false })
}

/// Why there is no answer.
enum Failed {
    /// The connection broke: another may do it, and the statement may have been done.
    Broken(Error),
    /// No connection came about: another may do it, and the statement was not done.
    Unconnected(Error),
    /// The statement was rolled back in favour of another.
    Deadlock(Error),
    /// The table is missing.
    NoTable(Error),
    /// Another connection would do no better.
    For(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        match self {
            Failed::Broken(error)
            | Failed::Unconnected(error)
            | Failed::Deadlock(error)
            | Failed::NoTable(error)
            | Failed::For(error) => error,
        }
    }
}
