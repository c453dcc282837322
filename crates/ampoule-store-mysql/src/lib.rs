//! Ampoule sessions in MySQL 8 or MariaDB 10.6, or later.
//!
//! ```no_run
//! use ampoule_store_mysql::{MySqlOptions, MySqlStore};
//!
//! let store = MySqlStore::connect("mysql://app:password@db.example/app", MySqlOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! A read is one prepared statement, and so is a write that finds what it expects. A create of an existing key needs
//! two or three; a delete that finds no live row, or a touch that changes nothing, needs two. The server executes each
//! statement whole or not at all; the condition of a write includes the version that it replaces. Connections come from
//! a pool, which connects when it is first used: an application starts while its database is down, and uses it once it
//! is up. A statement that has started runs to its end, even if its caller is cancelled.
//!
//! # The table
//!
//! The store creates its table when it first finds it missing, unless [`MySqlOptions::migrate`] is `false`.
//! [`MySqlStore::migrate`] creates it at once. Or run this yourself, with the name from your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       BINARY(32) NOT NULL PRIMARY KEY, -- derived from the session's id, which is not a secret
//!     version  BIGINT     NOT NULL,             -- random, new with each write
//!     deadline BIGINT     NOT NULL,             -- milliseconds since 1970, UTC, by the server's clock
//!     tag      BINARY(32),                      -- the digest of the session's principal
//!     value    LONGBLOB   NOT NULL,             -- a BLOB has at most 64 KiB
//!     INDEX deadline (deadline),
//!     INDEX tag (tag)
//! ) ENGINE=InnoDB;
//! ```
//!
//! The application's user needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it. A value larger than the server's
//! `max_allowed_packet` is [`ErrorKind::TooLarge`].
//!
//! # The clock
//!
//! The server's clock alone decides what has expired, in any time zone. Each statement reads the clock of the server
//! that runs it, so an application whose own clock is wrong neither ends sessions early nor keeps them longer.
//!
//! # Durability
//!
//! With the server's default settings (`innodb_flush_log_at_trx_commit = 1`), a save that has returned survives a crash
//! of the server. With 0 or 2 a crash may lose the last second. A failover to an asynchronous replica loses what the
//! replica had not received.
//!
//! # Time limits and locks
//!
//! The server continues a statement after its client has disconnected, so it needs a time limit of its own. Connections
//! of the store's own pool set MariaDB's `max_statement_time` to
//! [`PoolOptions::command_timeout`](ampoule_core::PoolOptions::command_timeout), and `lock_wait_timeout` and
//! `innodb_lock_wait_timeout` to the same, rounded up to whole seconds. Their isolation level is `READ COMMITTED`. On
//! an application's pool, set them in the setup of its connections.
//!
//! A connection whose server has become read-only, as after a switchover, is closed, and its statement is sent on
//! another.
//!
//! # TLS
//!
//! TLS needs one of the features `tls-ring`, `tls-aws-lc-rs` and `tls`.
//!
//! | `sslmode` in the URL | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable`, the default | no | |
//! | `require` | yes | is not verified |
//! | `verify-full` | yes | must be signed by a trusted CA, for this host |
//!
//! The trusted CAs are those in `ssl-ca` or [`MySqlOptions::tls`], a PEM file, or else Mozilla's. `ssl-cert` and
//! `ssl-key` are the client's own certificate and its key. If files are set and no mode is, the mode is `verify-full`.
//! MySQL's `ssl-mode` and its values are accepted too, and so is the driver's `require_ssl=true`, which means
//! `verify-full`. The driver does not support `verify-ca` and `prefer`.
//!
//! If rustls has no default provider when the first connection with TLS is opened, the store installs the one that its
//! feature compiles in, `ring` if both are. Connections through a Unix socket (`?socket=`) are not encrypted. For other
//! settings use a pool of your own: `MySqlStore::with_pool`, with the feature `mysql_async-0_37`.

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connect;
mod error;
mod options;
mod query;
mod statements;
mod tls;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::internal::tls::ensure_provider;
use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time,
    Version, write_and_read_back,
};
/// The driver, whose pool [`MySqlStore::with_pool`] takes.
#[cfg(feature = "mysql_async-0_37")]
pub use mysql_async as mysql_async_0_37;
use mysql_async::{Opts, Pool, Value};

pub use self::options::MySqlOptions;
use self::statements::Statements;

/// The size in bytes that every server accepts: the lowest `max_allowed_packet` in practice.
const MIN_PACKET: usize = 512 << 10;

/// A store of sessions in a table of MySQL or MariaDB.
///
/// A handle that is cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct MySqlStore(Arc<Inner>);

struct Inner {
    /// Created when it is first used, since that needs a tokio runtime.
    pool: OnceLock<Pool>,
    opts: Option<Opts>,
    statements: Statements,
    options: MySqlOptions,
    description: String,
}

impl Inner {
    fn pool(&self) -> &Pool {
        self.pool.get_or_init(|| {
            let opts = self.opts.clone().unwrap_or_default();
            if opts.ssl_opts().is_some() {
                ensure_provider();
            }
            Pool::new(opts)
        })
    }
}

impl MySqlStore {
    /// Creates a store at this URL, such as `mysql://user:password@host:3306/database`, with its own pool. It connects
    /// when it is first used.
    ///
    /// ```
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_mysql::{MySqlOptions, MySqlStore};
    ///
    /// let store = MySqlStore::connect("mysql://app:secret@db.example/shop", MySqlOptions::default())?;
    /// assert_eq!(store.describe(), "MySQL at db.example:3306/shop, table ampoule_sessions");
    ///
    /// let typo = "mysql://app:secret@db.example/shop?sslmod=require";
    /// let error = MySqlStore::connect(typo, MySqlOptions::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL or the table's name is invalid, if a file for TLS cannot be read, or if the URL
    /// needs a cargo feature that is off.
    pub fn connect(url: &str, options: MySqlOptions) -> Result<MySqlStore, Error> {
        let (opts, location) = connect::opts(url, &options)?;
        MySqlStore::build(OnceLock::new(), Some(opts), &location, options)
    }

    /// Creates a store on the application's own pool, which the application may use for other statements too.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ampoule_store_mysql::{MySqlOptions, MySqlStore, mysql_async_0_37::Pool};
    ///
    /// let pool = Pool::new("mysql://app@localhost/app");
    /// let store = MySqlStore::with_pool(pool.clone(), MySqlOptions::default())?;
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the table's name is invalid.
    #[cfg(feature = "mysql_async-0_37")]
    pub fn with_pool(pool: Pool, options: MySqlOptions) -> Result<MySqlStore, Error> {
        MySqlStore::build(OnceLock::from(pool), None, "the application's pool", options)
    }

    fn build(
        pool: OnceLock<Pool>,
        opts: Option<Opts>,
        location: &str,
        options: MySqlOptions,
    ) -> Result<MySqlStore, Error> {
        let statements = Statements::new(&options.table)?;
        let description = format!("MySQL at {location}, table {}", options.table);
        Ok(MySqlStore(Arc::new(Inner { pool, opts, statements, options, description })))
    }

    /// Creates the table if it does not exist. Any number of processes may call it at the same time.
    ///
    /// ```
    /// # use ampoule_test_servers::{Kind, shared};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let Some(server) = shared(Kind::MariaDb) else { return Ok(()) };
    /// # let url = server.url();
    /// use ampoule_core::Store;
    /// use ampoule_store_mysql::{MySqlOptions, MySqlStore};
    ///
    /// let store = MySqlStore::connect(url, MySqlOptions { migrate: false, ..MySqlOptions::default() })?;
    /// store.migrate().await?;
    /// store.ping().await?;
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the server cannot be reached or the user may not create tables,
    /// [`ErrorKind::Timeout`] if it takes longer than `command_timeout`.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.batch(&self.0.statements.schema).await
    }

    /// Returns the time of a test's clock, or null for the server's.
    fn now(&self) -> Value {
        self.0.options.clock.as_ref().map_or(Value::NULL, |clock| millis(clock.now().as_millis().into()))
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let found = self.rows(&self.0.statements.get, vec![id(key), self.now()]).await?;
        let Some(mut row) = found.rows.into_iter().next() else { return Ok(None) };
        let mut stored = || {
            Some(Stored {
                value: Bytes::from(row.take::<Vec<u8>, _>(0)?),
                version: Version(row.take::<i64, _>(1)?.cast_unsigned()),
                deadline: time(row.take(2)?),
            })
        };
        stored().map(Some).ok_or_else(error::corrupt)
    }

    async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let statements = &self.0.statements;
        let version = Version::random()?;
        if entry.lifetime.as_millis() == 0 {
            let done = self.remove(key, mode).await?;
            return Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict });
        }
        let (lifetime, tag) = (millis(entry.lifetime.as_millis()), tag_of(&entry));
        let row = vec![number(version), self.now(), lifetime, tag, Value::Bytes(entry.value.to_vec())];
        let written = match mode {
            PutMode::Create => return self.create(key, row, version).await,
            PutMode::Replace(old) => {
                let condition = vec![id(key), number(old), self.now()];
                self.rows(&statements.replace, [row, condition].concat()).await?
            }
            PutMode::Always => self.rows(&statements.overwrite, [vec![id(key)], row.clone(), row].concat()).await?,
        };
        // If the connection broke, the first of the two statements may have written the row.
        let is_unclear = written.sent_twice && written.affected == 0;
        let done = is_unclear && self.has_version(key, version).await? || written.matched_row()?;
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// Inserts a row. If the key exists but has expired, overwrites it.
    async fn create(&self, key: StoreKey, row: Vec<Value>, version: Version) -> Result<PutResult, Error> {
        let statements = &self.0.statements;
        let mut sent_twice = false;
        for _ in 0..3 {
            let inserted = self.rows(&statements.insert, [vec![id(key)], row.clone()].concat()).await?;
            if inserted.affected > 0 {
                return Ok(PutResult::Stored(version));
            }
            let expired = [row.clone(), vec![id(key), self.now()]].concat();
            let taken_over = self.rows(&statements.take_over, expired).await?;
            sent_twice |= inserted.sent_twice || taken_over.sent_twice;
            if taken_over.affected > 0 || sent_twice && self.has_version(key, version).await? {
                return Ok(PutResult::Stored(version));
            }
            if self.returns_rows(&statements.get, vec![id(key), self.now()]).await? {
                break;
            }
            // A sweep removed the expired row meanwhile, so the key is free.
        }
        if sent_twice { Err(error::unknown_outcome()) } else { Ok(PutResult::Conflict) }
    }

    /// Executes a put with a lifetime of zero: it has the same condition, and removes the row.
    async fn remove(&self, key: StoreKey, mode: PutMode) -> Result<bool, Error> {
        let statements = &self.0.statements;
        match mode {
            PutMode::Replace(old) => {
                let condition = vec![id(key), number(old), self.now()];
                self.rows(&statements.delete_version, condition).await?.matched_row()
            }
            PutMode::Create => Ok(!self.returns_rows(&statements.get, vec![id(key), self.now()]).await?),
            PutMode::Always => self.remove_any(key).await.map(|_| true),
        }
    }

    /// Removes a row, and returns whether it was live. An expired row is removed too: it would be live again if the
    /// clock was set back.
    async fn remove_any(&self, key: StoreKey) -> Result<bool, Error> {
        let statements = &self.0.statements;
        let is_live = self.rows(&statements.delete, vec![id(key), self.now()]).await?.affected > 0;
        if !is_live {
            self.rows(&statements.delete_expired, vec![id(key), self.now()]).await?;
        }
        Ok(is_live)
    }

    async fn move_deadline(&self, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let statements = &self.0.statements;
        let condition = vec![id(key), number(version), self.now()];
        let values = [vec![self.now(), millis(lifetime.as_millis())], condition.clone()].concat();
        let moved = self.rows(&statements.touch, values).await?;
        // MySQL does not count a row as changed if its deadline stays the same.
        let is_unchanged = moved.affected == 0 && self.returns_rows(&statements.has_live_version, condition).await?;
        Ok(is_unchanged || moved.matched_row()?)
    }

    async fn has_version(&self, key: StoreKey, version: Version) -> Result<bool, Error> {
        self.returns_rows(&self.0.statements.has_version, vec![id(key), number(version)]).await
    }

    async fn returns_rows(&self, query: &str, values: Vec<Value>) -> Result<bool, Error> {
        Ok(!self.rows(query, values).await?.rows.is_empty())
    }

    async fn time(&self) -> Result<Time, Error> {
        let found = self.rows(&self.0.statements.time, vec![self.now()]).await?;
        let now = found.rows.into_iter().next().and_then(|mut row| row.take(0));
        now.map(time).ok_or_else(error::no_time)
    }

    /// Returns [`ErrorKind::TooLarge`] in place of an error if the value is too large. The server only closes the
    /// connection if a packet exceeds its limit.
    async fn detect_too_large(&self, size: usize, error: Error) -> Error {
        if size < MIN_PACKET {
            return error;
        }
        let limit = self.rows("SELECT @@max_allowed_packet", Vec::new()).await;
        let limit = limit.ok().and_then(|mut found| found.rows.pop()?.take::<usize, _>(0));
        if limit.is_some_and(|limit| size + 1_024 > limit) { error::too_large().because(error) } else { error }
    }

    async fn keys(&self, statement: &str, values: Vec<Value>) -> Result<Vec<StoreKey>, Error> {
        let found = self.rows(statement, values).await?.rows;
        let key = |mut row: mysql_async::Row| row.take::<Vec<u8>, _>(0)?.try_into().ok().map(StoreKey::new);
        found.into_iter().map(|row| key(row).ok_or_else(error::corrupt)).collect()
    }

    async fn page(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let (after, budget) = (Page::last_key(cursor)?, budget.max(1));
        let after = after.map_or_else(|| Value::Bytes(Vec::new()), id);
        let keys = self.keys(&self.0.statements.scan, vec![after, self.now(), limit(budget)]).await?;
        Ok(Page::ordered(keys, budget))
    }

    async fn remove_expired(&self, budget: usize) -> Result<SweepReport, Error> {
        let removed = self.rows(&self.0.statements.sweep, vec![self.now(), limit(budget)]).await?.affected;
        Ok(SweepReport { removed, more: removed > 0 && removed >= budget as u64 })
    }
}

impl Store for MySqlStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        let size = entry.value.len();
        Reply::new(async move {
            match self.write(key, entry, mode).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => Err(self.detect_too_large(size, error).await),
                result => result,
            }
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.remove_any(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        let tag = Value::Bytes(tag.as_bytes().to_vec());
        Reply::new(async move { self.keys(&self.0.statements.keys_with_tag, vec![tag, self.now()]).await })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.page(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        Reply::new(self.remove_expired(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            self.time().await
        })
    }

    fn describe(&self) -> String {
        self.0.description.clone()
    }
}

impl std::fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MySqlStore({})", self.0.description)
    }
}

fn id(key: StoreKey) -> Value {
    Value::Bytes(key.as_bytes().to_vec())
}

fn tag_of(entry: &Entry) -> Value {
    entry.tag.map_or(Value::NULL, |tag| Value::Bytes(tag.as_bytes().to_vec()))
}

fn limit(budget: usize) -> Value {
    Value::UInt(budget as u64)
}

fn number(version: Version) -> Value {
    Value::Int(version.0.cast_signed())
}

/// Converts a time or a lifetime, capped at [`Time::MAX`] (the year 9999), so that the sum of two fits an `i64`.
fn millis(millis: u128) -> Value {
    const MAX_MILLIS: i64 = Time::MAX.as_millis().cast_signed();
    Value::Int(i64::try_from(millis).map_or(MAX_MILLIS, |millis| millis.min(MAX_MILLIS)))
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis.cast_unsigned())
}
