//! One statement on a connection of the pool, within its time, and once more where the connection was stale.

use ampoule_core::{Error, ErrorKind};
use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::statements::Values;
use crate::{PostgresStore, error};

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

impl PostgresStore {
    /// A connection that broke, such as those from before a restart of the server, is replaced once, and a table that
    /// is missing is made, if that is allowed. All statements may be sent twice.
    pub(crate) async fn rows(&self, statement: &str, values: Values<'_>) -> Result<Answer, Error> {
        let again = match self.try_rows(statement, values).await {
            Err(Failed::Broken(_)) => true,
            Err(Failed::NoTable(_)) if self.0.migrate => {
                self.migrate().await?;
                false
            }
            Err(failed) => return Err(failed.into_error()),
            Ok(rows) => return Ok(Answer { rows, again: false }),
        };
        let rows = self.try_rows(statement, values).await.map_err(Failed::into_error)?;
        Ok(Answer { rows, again })
    }

    async fn try_rows(&self, statement: &str, values: Values<'_>) -> Result<Vec<Row>, Failed> {
        let client = self.client().await?;
        let work = async {
            let statement = client.prepare_cached(statement).await?;
            client.query(&statement, values).await
        };
        match timeout(self.0.command_timeout, work).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(cause)) if error::is_broken(&cause) => {
                drop(Object::take(client));
                Err(Failed::Broken(error::from(cause)))
            }
            Ok(Err(cause)) => Err(self.explain(error::from(cause))),
            Err(_) => Err(self.give_up(client)),
        }
    }

    /// Several statements without values, as one transaction.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Error> {
        let client = self.client().await.map_err(Failed::into_error)?;
        match timeout(self.0.command_timeout, client.batch_execute(statements)).await {
            Ok(done) => done.map_err(error::from),
            Err(_) => Err(self.give_up(client).into_error()),
        }
    }

    async fn client(&self) -> Result<Object, Failed> {
        self.0.pool.get().await.map_err(|cause| Failed::For(error::of_pool(cause)))
    }

    /// A connection that does not answer is not used again, or the next statement would wait for it too.
    fn give_up(&self, client: Object) -> Failed {
        drop(Object::take(client));
        let message = format!("PostgreSQL gave no answer within {:?} (command_timeout)", self.0.command_timeout);
        Failed::For(Error::new(ErrorKind::Timeout, message))
    }

    fn explain(&self, error: Error) -> Failed {
        if error.kind() != ErrorKind::Config {
            return Failed::For(error);
        }
        let table = &self.0.statements.table;
        let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
        Failed::NoTable(Error::new(ErrorKind::Config, message).because(error))
    }
}

/// Why there are no rows.
enum Failed {
    /// The connection broke: another may do it, and the statement may have been done.
    Broken(Error),
    /// The table is missing.
    NoTable(Error),
    /// Another connection would do no better.
    For(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        let (Failed::Broken(error) | Failed::NoTable(error) | Failed::For(error)) = self;
        error
    }
}
