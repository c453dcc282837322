//! Who may read and who may write: several readers where they are asked, one writer on a thread of its own.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::{Durability, Error, ErrorKind, Reply};
use rusqlite::Connection;

use crate::statements::Statements;
use crate::{Inner, SqliteOptions, SqliteStore, error};

/// Prepared statements that a connection keeps: each of ours.
const STATEMENTS: usize = 32;

pub(crate) struct Connections {
    readers: Vec<Mutex<Connection>>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl Connections {
    pub(crate) fn open(
        open: impl Fn() -> rusqlite::Result<Connection>,
        options: &SqliteOptions,
        statements: &Statements,
    ) -> Result<Connections, Error> {
        let connect = |wait| connect(&open, options.durability, wait).map_err(error::at_start);
        let writer = connect(options.lock_wait)?;
        writer.execute_batch(statements.schema()).map_err(error::at_start)?;
        // A reader waits for nobody: what it may not read at once is read by the writer's way.
        let readers =
            (0..options.readers.max(1)).map(|_| connect(Duration::ZERO).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Connections { readers, writer: Arc::new(tokio::sync::Mutex::new(writer)) })
    }

    /// A reader that nobody uses, or else the first to be free.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| self.readers[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn connect(
    open: impl Fn() -> rusqlite::Result<Connection>,
    durability: Durability,
    wait: Duration,
) -> rusqlite::Result<Connection> {
    let connection = open()?;
    // While the database is new, or is being recovered, even opening it waits for others.
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let synchronous = match durability {
        Durability::None => "OFF",
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.busy_timeout(wait)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Makes the file for our eyes only; SQLite gives its companions the same mode.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|cause| {
        let message = format!("the session database {} cannot be opened", path.display());
        Error::new(ErrorKind::Unavailable, message).because(cause)
    })
}

impl SqliteStore {
    /// Runs a query here and now; where it is held up, such as while another process recovers the database, on a
    /// thread that may wait.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Inner, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let answer = query(&self.0, &self.0.connections.reader());
        match answer {
            Err(held_up) if error::is_busy(&held_up) => {
                self.write(move |inner, sql| query(inner, sql).map_err(error::from))
            }
            answer => Reply::ready(answer.map_err(error::from)),
        }
    }

    /// Runs a job when the writer is free. If the caller goes away the job ends all the same, whole.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner, &Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Reply::new(async move {
            let writer = Arc::clone(&self.0.connections.writer).lock_owned().await;
            let inner = Arc::clone(&self.0);
            let done = tokio::task::spawn_blocking(move || job(&inner, &writer)).await;
            done.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "the SQLite store's work was broken off").because(cause)
            })?
        })
    }
}
