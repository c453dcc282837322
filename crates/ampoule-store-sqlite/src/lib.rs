//! Ampoule sessions in an SQLite file: one file for one machine, shared by any number of its processes.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("sessions.db");
//! use ampoule_store_sqlite::{SqliteOptions, SqliteStore};
//!
//! let store = SqliteStore::open(&path, SqliteOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The database is in WAL mode, so readers wait for no writer. Reads run where they are asked for, since one that finds
//! its page in memory takes a few microseconds, less than the way to another thread and back; writes run on tokio's
//! threads for blocking work, one at a time in this process. Not for network file systems, where WAL does not work.
//!
//! # The table
//!
//! [`SqliteStore::open`] makes it if it is missing, for `table` as [`SqliteOptions`] names it:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       BLOB    PRIMARY KEY NOT NULL, -- 32 bytes: made of the session's handle, which is no secret
//!     version  INTEGER NOT NULL,             -- random, new with each write
//!     deadline INTEGER NOT NULL,             -- milliseconds since 1970, UTC
//!     tag      BLOB,                         -- 32 bytes: the digest of the session's principal
//!     value    BLOB    NOT NULL
//! ) STRICT;
//! CREATE INDEX ampoule_sessions_deadline ON ampoule_sessions (deadline);
//! CREATE INDEX ampoule_sessions_tag ON ampoule_sessions (tag) WHERE tag IS NOT NULL;
//! ```
//!
//! The clock of the machine decides what has expired. A sweep deletes by the index on the deadline, so its cost follows what has expired, and gives the freed pages back
//! to the file system.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connections;
mod error;
mod jobs;
mod options;
mod statements;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use ampoule_core::Durability;
use ampoule_core::{
    Clock, Entry, Error, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
    write_and_read_back,
};
pub use rusqlite;

use self::connections::Connections;
pub use self::options::SqliteOptions;
use self::statements::{Row, Statements};

/// Sessions in an SQLite file.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    connections: Connections,
    statements: Statements,
    clock: Arc<dyn Clock>,
    description: String,
}

impl SqliteStore {
    /// Opens the file, and makes file (mode 0600) and table if they are missing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) for an invalid table name, or a file of something
    /// else; [`ErrorKind::Unavailable`](ampoule_core::ErrorKind::Unavailable) if it cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteStore, Error> {
        let path = path.as_ref().to_owned();
        connections::make_private(&path)?;
        let description = format!("SQLite at {}", path.display());
        SqliteStore::build(move || rusqlite::Connection::open(&path), description, options)
    }

    /// Sessions behind connections that the application opens itself: with extensions, keys or settings of its own. The
    /// function is called once for the writer and once for each reader; all must lead to one database.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("app.db");
    /// use ampoule_store_sqlite::{SqliteOptions, SqliteStore, rusqlite::Connection};
    ///
    /// let open = move || {
    ///     let connection = Connection::open(&path)?;
    ///     connection.pragma_update(None, "cache_size", -8_000)?;
    ///     Ok(connection)
    /// };
    /// let store = SqliteStore::with_connections(open, SqliteOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](SqliteStore::open).
    pub fn with_connections(
        open: impl Fn() -> rusqlite::Result<rusqlite::Connection>,
        options: SqliteOptions,
    ) -> Result<SqliteStore, Error> {
        SqliteStore::build(open, "SQLite".to_owned(), options)
    }

    fn build(
        open: impl Fn() -> rusqlite::Result<rusqlite::Connection>,
        place: String,
        options: SqliteOptions,
    ) -> Result<SqliteStore, Error> {
        let statements = Statements::new(&options.table)?;
        let connections = Connections::open(open, &options, &statements)?;
        let description = format!("{place}, table {} (durability {})", options.table, options.durability.name());
        Ok(SqliteStore(Arc::new(Inner { connections, statements, clock: options.clock, description })))
    }
}

impl Inner {
    fn put(&self, sql: &rusqlite::Connection, key: StoreKey, entry: &Entry, mode: PutMode) -> Result<PutResult, Error> {
        let (statements, now) = (&self.statements, self.clock.now());
        let deadline = now + entry.lifetime;
        let version = Version::random()?;
        let row = Row { key, version, deadline, tag: entry.tag, value: &entry.value };
        let written = match mode {
            _ if deadline <= now => statements.remove(sql, key, mode, now),
            PutMode::Create => statements.create(sql, &row, now),
            PutMode::Replace(old) => statements.replace(sql, &row, old, now),
            PutMode::Always => statements.overwrite(sql, &row),
        };
        Ok(if written.map_err(error::from)? { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    fn touch(
        &self,
        sql: &rusqlite::Connection,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        self.statements.touch(sql, key, version, now + lifetime, now).map_err(error::from)
    }
}

impl Store for SqliteStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        let now = self.0.clock.now();
        self.read(move |inner, sql| inner.statements.get(sql, key, now))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.write(move |inner, sql| inner.put(sql, key, &entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.write(move |inner, sql| inner.touch(sql, key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.write(move |inner, sql| inner.statements.delete(sql, key, inner.clock.now()).map_err(error::from))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        let now = self.0.clock.now();
        self.read(move |inner, sql| inner.statements.keys_with_tag(sql, tag, now))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        let after = match Page::last_key(cursor) {
            Ok(key) => key,
            Err(error) => return Reply::ready(Err(error)),
        };
        let now = self.0.clock.now();
        self.read(move |inner, sql| inner.statements.scan(sql, after, now, budget.max(1)))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.write(move |inner, sql| inner.statements.sweep(sql, inner.clock.now(), budget).map_err(error::from))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            Ok(self.0.clock.now())
        })
    }

    fn describe(&self) -> String {
        self.0.description.clone()
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.0.description)
    }
}
