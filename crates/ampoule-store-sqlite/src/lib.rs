//! Ampoule sessions in an SQLite file, on one machine, shared by any number of its processes.
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
//! The database is in WAL mode, so readers do not wait for writers. A read runs on the caller's thread: if the page is
//! in memory, it takes a few microseconds, less than a switch to another thread and back. Writes run on tokio's threads
//! for blocking work, one at a time in this process. Do not use it on network file systems, where WAL does not work.
//!
//! # The table
//!
//! [`SqliteStore::open`] creates it if it does not exist, under the name [`SqliteOptions::table`]:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       BLOB    PRIMARY KEY NOT NULL, -- 32 bytes, derived from the session's id, which is not a secret
//!     version  INTEGER NOT NULL,             -- random, new with each write
//!     deadline INTEGER NOT NULL,             -- milliseconds since 1970, UTC
//!     tag      BLOB,                         -- 32 bytes: the digest of the session's principal
//!     value    BLOB    NOT NULL
//! ) STRICT;
//! CREATE INDEX ampoule_sessions_deadline ON ampoule_sessions (deadline);
//! CREATE INDEX ampoule_sessions_tag ON ampoule_sessions (tag) WHERE tag IS NOT NULL;
//! ```
//!
//! Each process reads the machine's clock to decide what has expired; all processes that share the file are on one
//! machine, so they agree. If the clock is set forward by an hour, sessions end an hour early. If it is set back, they
//! end an hour late; this includes a session that had expired by the clock before its user logged out, since that
//! logout found no session to end.
//!
//! A sweep finds expired rows by the index on the deadline, so its cost depends only on their number. It deletes them
//! in batches of about a millisecond, between which others can write, and then returns the freed pages to the file
//! system.
//!
//! # If the file is removed
//!
//! The store detects that its database was removed, or replaced by renaming another one over it. The next operation
//! fails with [`ErrorKind::Unavailable`], and the database is opened again, or created if it does not exist. A write
//! into a removed file is always an error. To restore a backup while the site is running, use SQLite itself:
//! `sqlite3 sessions.db '.restore backup.db'`. Or stop the site, remove `sessions.db-wal` and `sessions.db-shm`, and
//! rename the backup into place. With SQLite it is never safe to overwrite the file itself
//! (`cp backup.db sessions.db`).

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod batch_size;
mod connections;
mod error;
mod file;
mod jobs;
mod options;
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

use self::batch_size::BatchSize;
use self::connections::Connections;
pub use self::options::SqliteOptions;
use self::statements::{Row, Statements};

/// A store of sessions in an SQLite file.
///
/// A handle that is cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

type OpenFn = Box<dyn Fn() -> rusqlite::Result<rusqlite::Connection> + Send + Sync>;

struct Inner {
    connections: RwLock<Arc<Connections>>,
    /// Held while the database is opened again.
    reopening: Mutex<()>,
    open: OpenFn,
    /// The file to create if it does not exist; `None` if the application opens the connections.
    path: Option<PathBuf>,
    options: SqliteOptions,
    statements: Statements,
    batch_size: BatchSize,
    description: String,
}

impl SqliteStore {
    /// Opens the database. Creates the file (mode 0600), the folders above it (0700) and the table if they do not
    /// exist.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("sessions.db");
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_sqlite::{SqliteOptions, SqliteStore};
    ///
    /// let store = SqliteStore::open(&path, SqliteOptions::default())?;
    /// assert!(store.describe().ends_with("sessions.db, table ampoule_sessions (durability process)"));
    ///
    /// let error = SqliteStore::open(":memory:", SqliteOptions::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the table's name is invalid, the path is empty or `:memory:`, or the file is not a
    /// database; [`ErrorKind::Unavailable`] if it cannot be opened; [`ErrorKind::Timeout`] if another process keeps it
    /// locked.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteStore, Error> {
        let path = path.as_ref().to_owned();
        if path.as_os_str() == ":memory:" || path.as_os_str().is_empty() {
            let message = "an SQLite database without a file differs in each connection: expected a path; for values in memory use `MemoryStore`, or the URL `memory:`";
            return Err(Error::new(ErrorKind::Config, message));
        }
        file::create_private_file(&path)?;
        let description = format!("SQLite at {}", path.display());
        let file = path.clone();
        SqliteStore::build(Box::new(move || rusqlite::Connection::open(&file)), Some(path), &description, options)
    }

    /// Creates a store on connections that the application opens itself, for example with extensions, an encryption key
    /// or other settings. `open` is called once for the writer and once for each reader, and again for all of them
    /// after the database's file was removed. All connections must be to the same database.
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
    /// The errors of [`open`](SqliteStore::open).
    #[cfg(feature = "rusqlite-0")]
    pub fn with_connections(
        open: impl Fn() -> rusqlite::Result<rusqlite::Connection> + Send + Sync + 'static,
        options: SqliteOptions,
    ) -> Result<SqliteStore, Error> {
        SqliteStore::build(Box::new(open), None, "SQLite", options)
    }

    fn build(
        open: OpenFn,
        path: Option<PathBuf>,
        location: &str,
        options: SqliteOptions,
    ) -> Result<SqliteStore, Error> {
        let statements = Statements::new(&options.table)?;
        let connections = RwLock::new(Arc::new(Connections::open(&open, &options, statements.schema())?));
        let description = format!("{location}, table {} (durability {})", options.table, options.durability.name());
        let (reopening, batch_size) = (Mutex::default(), BatchSize::default());
        let inner = Inner { connections, reopening, open, path, options, statements, batch_size, description };
        Ok(SqliteStore(Arc::new(inner)))
    }
}

impl Inner {
    /// Opens new connections, as at the start.
    fn connect(&self) -> Result<Connections, Error> {
        self.path.as_deref().map_or(Ok(()), file::create_private_file)?;
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

    /// Deletes a batch of expired rows. If none are left, it returns some freed pages to the file system.
    fn sweep_batch(&self, sql: &rusqlite::Connection, budget: usize) -> Result<SweepReport, Error> {
        let (now, rows) = (self.options.clock.now(), self.batch_size.rows().min(budget));
        let removed = self.batch_size.measure(|| self.statements.sweep(sql, now, rows)).map_err(error::from)?;
        let more = removed >= rows || self.statements.shrink(sql, MAX_FREED_PAGES).map_err(error::from)?;
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

/// The most pages that one batch returns to the file system.
const MAX_FREED_PAGES: u32 = 16;

/// How long a sweep works in one call, whatever its budget.
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

    /// Deletes in batches of about a millisecond, since all writers wait for a batch, in this process and in others.
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
