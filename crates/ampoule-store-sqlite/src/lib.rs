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
//! The clock of the machine, read by each process, decides what has expired. All that share the file are on one machine, so
//! they agree; when its clock is set forward by an hour, sessions end an hour early, and when it is set back, an hour late:
//! also one that had expired by the clock before its user logged out, since that logout found nothing to end.
//!
//! A sweep deletes by the index on the deadline, so its cost follows what has expired, in batches of about a millisecond,
//! between which others write; then it gives the freed pages back to the file system.
//!
//! # When the file is removed
//!
//! A database that was removed, or replaced by renaming another one over it, is noticed: the next operation is
//! [`ErrorKind::Unavailable`], never a write into a file that is gone, and the file
//! is opened, or made, as at the start. To restore a backup under a running site, let SQLite do it: `sqlite3 sessions.db
//! '.restore backup.db'`. Or stop the site, remove `sessions.db-wal` and `sessions.db-shm`, and rename the backup into place.
//! Overwriting the file itself (`cp backup.db sessions.db`) is never safe with SQLite.

// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connections;
mod error;
mod file;
mod jobs;
mod options;
mod pace;
mod statements;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

pub use ampoule_core::Durability;
use ampoule_core::{
    Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
    write_and_read_back,
};
/// The driver, of whichever version the application has, for [`SqliteStore::with_connections`].
#[cfg(feature = "rusqlite-0")]
pub use rusqlite as rusqlite_0;

use self::connections::Connections;
pub use self::options::SqliteOptions;
use self::pace::Pace;
use self::statements::{Row, Statements};

/// Sessions in an SQLite file.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

type Open = Box<dyn Fn() -> rusqlite::Result<rusqlite::Connection> + Send + Sync>;

struct Inner {
    connections: RwLock<Arc<Connections>>,
    reopening: Mutex<()>,
    open: Open,
    /// The file that is made where there is none.
    path: Option<PathBuf>,
    options: SqliteOptions,
    statements: Statements,
    pace: Pace,
    description: String,
}

impl SqliteStore {
    /// Opens the file, and makes file (mode 0600), folders above it (0700) and table if they are missing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid table name, or a file of something
    /// else; [`ErrorKind::Unavailable`] if it cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteStore, Error> {
        let path = path.as_ref().to_owned();
        if path.as_os_str() == ":memory:" || path.as_os_str().is_empty() {
            let message = "an SQLite database without a file is another one in each connection: expected a path; for sessions in memory use `MemoryStore`, or the URL `memory:`";
            return Err(Error::new(ErrorKind::Config, message));
        }
        file::make_private(&path)?;
        let description = format!("SQLite at {}", path.display());
        let to_open = path.clone();
        SqliteStore::build(Box::new(move || rusqlite::Connection::open(&to_open)), Some(path), &description, options)
    }

    /// Sessions behind connections that the application opens itself: with extensions, keys or settings of its own. The
    /// function is called once for the writer and once for each reader, and again when the database's file was removed; all
    /// must lead to one database.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("app.db");
    /// use ampoule_store_sqlite::{SqliteOptions, SqliteStore, rusqlite_0::Connection};
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
    #[cfg(feature = "rusqlite-0")]
    pub fn with_connections(
        open: impl Fn() -> rusqlite::Result<rusqlite::Connection> + Send + Sync + 'static,
        options: SqliteOptions,
    ) -> Result<SqliteStore, Error> {
        SqliteStore::build(Box::new(open), None, "SQLite", options)
    }

    fn build(open: Open, path: Option<PathBuf>, place: &str, options: SqliteOptions) -> Result<SqliteStore, Error> {
        let statements = Statements::new(&options.table)?;
        let connections = RwLock::new(Arc::new(Connections::open(&open, &options, statements.schema())?));
        let description = format!("{place}, table {} (durability {})", options.table, options.durability.name());
        let (reopening, pace) = (Mutex::default(), Pace::default());
        Ok(SqliteStore(Arc::new(Inner { connections, reopening, open, path, options, statements, pace, description })))
    }
}

impl Inner {
    /// Connections as at the start.
    fn connect(&self) -> Result<Connections, Error> {
        self.path.as_deref().map_or(Ok(()), file::make_private)?;
        Connections::open(&self.open, &self.options, self.statements.schema())
    }

    fn put(&self, sql: &rusqlite::Connection, key: StoreKey, entry: &Entry, mode: PutMode) -> Result<PutResult, Error> {
        let (statements, now) = (&self.statements, self.options.clock.now());
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

    /// Deletes some of what has expired; when nothing more has, gives some pages back to the file system.
    fn sweep_batch(&self, sql: &rusqlite::Connection, budget: usize) -> Result<SweepReport, Error> {
        let (now, rows) = (self.options.clock.now(), self.pace.rows().min(budget));
        let removed = self.pace.measure(|| self.statements.sweep(sql, now, rows)).map_err(error::from)?;
        let more = removed >= rows || self.statements.shrink(sql, PAGES).map_err(error::from)?;
        Ok(SweepReport { removed: removed as u64, more })
    }

    fn touch(
        &self,
        sql: &rusqlite::Connection,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        let now = self.options.clock.now();
        self.statements.touch(sql, key, version, now + lifetime, now).map_err(error::from)
    }
}

/// How many free pages a batch gives back at most.
const PAGES: u32 = 16;

/// A sweep continues in its next call after so long, whatever its budget.
const MAX_TIME: Duration = Duration::from_millis(10);

impl Store for SqliteStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        let now = self.0.options.clock.now();
        self.read(move |inner, sql| inner.statements.get(sql, key, now))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.write(move |inner, sql| inner.put(sql, key, &entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.write(move |inner, sql| inner.touch(sql, key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.write(move |inner, sql| inner.statements.delete(sql, key, inner.options.clock.now()).map_err(error::from))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        let now = self.0.options.clock.now();
        self.read(move |inner, sql| inner.statements.keys_with_tag(sql, tag, now))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        let after = match Page::last_key(cursor) {
            Ok(key) => key,
            Err(error) => return Reply::ready(Err(error)),
        };
        let now = self.0.options.clock.now();
        self.read(move |inner, sql| inner.statements.scan(sql, after, now, budget.max(1)))
    }

    /// In batches of a millisecond or so, since the writer of this process waits for each, and those of others too.
    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        Reply::new(async move {
            let (started, mut removed) = (Instant::now(), 0);
            loop {
                let left = budget.max(1).saturating_sub(usize::try_from(removed).unwrap_or(usize::MAX));
                let batch = self.write(move |inner, sql| inner.sweep_batch(sql, left)).await?;
                removed += batch.removed;
                if !batch.more || removed >= budget as u64 || started.elapsed() >= MAX_TIME {
                    return Ok(SweepReport { removed, more: batch.more });
                }
            }
        })
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            Ok(self.0.options.clock.now())
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
