//! The connections: several readers, one writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ampoule_core::{Durability, Error};
use rusqlite::Connection;

use crate::error;
use crate::file::DatabaseFile;
use crate::options::SqliteOptions;

/// Prepared statements that a connection keeps: each of ours.
const STATEMENTS: usize = 32;

/// How long opening waits for others that are opening, or recovering, the same database.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Connections {
    /// Where they lead, if that is a file.
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
        let connect = |wait| connect(open, options.durability, wait).map_err(error::at_start);
        let writer = connect(options.lock_wait)?;
        writer.execute_batch(schema).map_err(error::at_start)?;
        let file = writer.path().filter(|path| !path.is_empty()).and_then(|path| DatabaseFile::at(path.as_ref()));
        // A reader does not wait for a lock: what it may not read at once is read on the writer's connection.
        let readers =
            (0..options.readers.max(1)).map(|_| connect(Duration::ZERO).map(Mutex::new)).collect::<Result<_, _>>()?;
        // Another may have been put in its place while they were opened, and then they lead to different ones.
        if let Some(file) = file.as_ref().filter(|file| file.is_gone()) {
            return Err(file.gone());
        }
        Ok(Connections { file, readers, writer: Arc::new(tokio::sync::Mutex::new(writer)) })
    }

    /// A reader that is not in use, or else the first to be free.
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
    // While the database is new, or is being recovered, even opening it waits for others.
    connection.busy_timeout(OPEN_TIMEOUT)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    use_wal(&connection)?;
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

/// Of several connections that turn a new database to WAL at once, SQLite refuses some without waiting: each holds a lock
/// that another needs.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(busy) if error::is_busy(&busy) && start.elapsed() < OPEN_TIMEOUT => {
                thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
}
