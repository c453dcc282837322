//! The connections to the database: several readers and one writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ampoule_core::{Durability, Error};
use rusqlite::Connection;

use crate::error;
use crate::file::DatabaseFile;
use crate::options::SqliteOptions;

/// How many prepared statements a connection keeps; more than this store has.
const STATEMENT_CACHE_CAPACITY: usize = 32;

/// How long opening waits for another process that is opening, or recovering, the same database.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Connections {
    /// The file of the database; `None` if it has none.
    pub(crate) file: Option<DatabaseFile>,
    readers: Vec<Mutex<Connection>>,
    pub(crate) writer: Arc<tokio::sync::Mutex<Connection>>,
}

impl Connections {
    pub(crate) fn open(
        open: &(dyn Fn() -> rusqlite::Result<Connection> + Send + Sync),
        options: &SqliteOptions,
        schema: &str,
    ) -> Result<Connections, Error> {
        let connect = |wait| connect(open, options.durability, wait).map_err(error::on_open);
        let writer = connect(options.lock_wait)?;
        writer.execute_batch(schema).map_err(error::on_open)?;
        let file = writer.path().filter(|path| !path.is_empty()).and_then(|path| DatabaseFile::at(path.as_ref()));
        // A reader does not wait for a lock: a query that would have to wait runs on the writer's connection instead.
        let readers =
            (0..options.readers.max(1)).map(|_| connect(Duration::ZERO).map(Mutex::new)).collect::<Result<_, _>>()?;
        // If the file was replaced in the meantime, the connections may be to different files.
        if let Some(file) = file.as_ref().filter(|file| file.is_gone()) {
            return Err(file.gone_error());
        }
        Ok(Connections { file, readers, writer: Arc::new(tokio::sync::Mutex::new(writer)) })
    }

    /// Returns a reader that is not in use. If all are in use, it waits for the first one.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| self.readers[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn connect(
    open: &(dyn Fn() -> rusqlite::Result<Connection> + Send + Sync),
    durability: Durability,
    wait: Duration,
) -> rusqlite::Result<Connection> {
    let connection = open()?;
    // While another process creates or recovers the database, even opening it must wait.
    connection.busy_timeout(OPEN_TIMEOUT)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    enable_wal(&connection)?;
    let synchronous = match durability {
        Durability::None => "OFF",
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.busy_timeout(wait)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
    Ok(connection)
}

/// Switches the database to WAL mode. If several connections do so at once, each holds a lock that another needs, and
/// SQLite refuses some of them without waiting; so this retries.
fn enable_wal(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(busy) if error::is_busy(&busy) && start.elapsed() < OPEN_TIMEOUT => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}
