//! Ampoule sessions in MySQL 8 or MariaDB 10.6, or later.
//!
//! ```no_run
//! use ampoule_store_mysql::{MySqlOptions, MySqlStore};
//!
//! let store = MySqlStore::connect("mysql://app:password@db.example/app", MySqlOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! Reading is one prepared statement, writing is one, each a step that the server does whole or not at all; the version
//! stands in the statement's condition. Connections come from a pool. Nothing is connected before it is needed, so an
//! application starts while its database is down, and continues when it is back. A statement that was begun ends, even
//! when the request that asked for it goes away.
//!
//! # The table
//!
//! It is made when it is first found missing, unless [`MySqlOptions::migrate`] says no; [`MySqlStore::migrate`] makes it
//! at once. Or run this yourself, with the name of your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       BINARY(32) NOT NULL PRIMARY KEY, -- made of the session's handle, which is no secret
//!     version  BIGINT     NOT NULL,             -- random, new with each write
//!     deadline BIGINT     NOT NULL,             -- milliseconds since 1970, UTC, by the server's clock
//!     tag      BINARY(32),                      -- the digest of the session's principal
//!     value    LONGBLOB   NOT NULL,             -- a BLOB would end at 64 KiB
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
//! The server's clock alone decides what has expired, whatever its time zone. Each statement takes the time from the server
//! that runs it, so an application whose own clock is wrong neither ends sessions nor keeps them longer.
//!
//! # What survives
//!
//! A save that has returned survives a crash of the server with its own settings
//! (`innodb_flush_log_at_trx_commit = 1`). With 0 or 2 the last second may be lost, and after a failover to an
//! asynchronous replica what it had not yet received; both are settings of the server.
//!
//! # Time limits and locks
//!
//! The server continues with a statement whose client has gone, so it is told the limit: connections of the store's own pool have
//! [`PoolOptions::command_timeout`](ampoule_core::PoolOptions::command_timeout) as MariaDB's `max_statement_time`, and in whole seconds as `lock_wait_timeout` and
//! `innodb_lock_wait_timeout`. For a pool of your own say so in its setup. Connections are `READ COMMITTED`. A connection
//! whose server has become read only, by a switchover, is given up, and the statement sent on another.
//!
//! # TLS
//!
//! | `sslmode` in the URL | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable`, the default | no | |
//! | `require` | yes | is not verified |
//! | `verify-full` | yes | must be signed by a CA that is trusted, for this host |
//!
//! Trusted are the CAs in `ssl-ca` or [`MySqlOptions::tls`], a file in PEM, else Mozilla's. `ssl-cert` and `ssl-key` are the
//! client's own certificate. With files and without a mode it is `verify-full`. MySQL's `ssl-mode` and its words are read too,
//! as is the driver's `require_ssl=true`, which is `verify-full`. `verify-ca` and `prefer` the driver cannot do. If rustls has
//! no default provider by the first connection with TLS, `ring` becomes it. Connections through a socket (`?socket=`) are
//! not encrypted. For anything else bring a pool: `MySqlStore::with_pool`, with the feature
//! `mysql_async-0_37`.

// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connect;
mod encryption;
mod error;
mod options;
mod query;
mod statements;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::internal::tls::ensure_provider;
use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time,
    Version, write_and_read_back,
};
/// The driver, for [`MySqlStore::with_pool`].
#[cfg(feature = "mysql_async-0_37")]
pub use mysql_async as mysql_async_0_37;
use mysql_async::{Opts, Pool, Value};

pub use self::options::MySqlOptions;
use self::statements::Statements;

/// What every server takes: the least that `max_allowed_packet` may be in practice.
const SMALLEST_PACKET: usize = 512 << 10;

/// Sessions in a table of MySQL or MariaDB.
#[derive(Clone)]
pub struct MySqlStore(Arc<Inner>);

struct Inner {
    /// Made when it is first needed, since that takes a runtime.
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
    /// A store at this URL, such as `mysql://user:password@host:3306/database`, with a pool of its own. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL or the table's name is invalid.
    pub fn connect(url: &str, options: MySqlOptions) -> Result<MySqlStore, Error> {
        let (opts, place) = connect::opts(url, &options)?;
        MySqlStore::build(OnceLock::new(), Some(opts), &place, options)
    }

    /// A store on the application's own pool, which may have other work too.
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
        MySqlStore::build(OnceLock::from(pool), None, "a pool of the application's", options)
    }

    fn build(
        pool: OnceLock<Pool>,
        opts: Option<Opts>,
        place: &str,
        options: MySqlOptions,
    ) -> Result<MySqlStore, Error> {
        let statements = Statements::new(&options.table)?;
        let description = format!("MySQL at {place}, table {}", options.table);
        Ok(MySqlStore(Arc::new(Inner { pool, opts, statements, options, description })))
    }

    /// Makes the table if it is missing. Any number of processes may do so at once.
    ///
    /// # Errors
    /// Those of the server: that it cannot be reached, or that the user may not make tables.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.batch(&self.0.statements.schema).await
    }

    /// Null where the server tells the time.
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
        stored().map(Some).ok_or_else(error::damaged)
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
        // Where the connection broke on the way, the first try may have been the one that wrote.
        let found = written.again && written.affected == 0 && self.has_version(key, version).await?;
        let done = found || written.found_its_row()?;
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// Inserts; where the key is there, takes it over if it has expired.
    async fn create(&self, key: StoreKey, row: Vec<Value>, version: Version) -> Result<PutResult, Error> {
        let statements = &self.0.statements;
        let mut again = false;
        for _ in 0..3 {
            let inserted = self.rows(&statements.insert, [vec![id(key)], row.clone()].concat()).await?;
            if inserted.affected > 0 {
                return Ok(PutResult::Stored(version));
            }
            let expired = [row.clone(), vec![id(key), self.now()]].concat();
            let taken_over = self.rows(&statements.take_over, expired).await?;
            again |= inserted.again || taken_over.again;
            if taken_over.affected > 0 || again && self.has_version(key, version).await? {
                return Ok(PutResult::Stored(version));
            }
            if self.finds(&statements.get, vec![id(key), self.now()]).await? {
                break;
            }
            // It was swept in between: the key is free.
        }
        if again { Err(error::unknown()) } else { Ok(PutResult::Conflict) }
    }

    /// What a put without a lifetime does: the same condition, and nothing is left.
    async fn remove(&self, key: StoreKey, mode: PutMode) -> Result<bool, Error> {
        let statements = &self.0.statements;
        match mode {
            PutMode::Replace(old) => {
                let condition = vec![id(key), number(old), self.now()];
                self.rows(&statements.delete_version, condition).await?.found_its_row()
            }
            PutMode::Create => Ok(!self.finds(&statements.get, vec![id(key), self.now()]).await?),
            PutMode::Always => self.remove_any(key).await.map(|_| true),
        }
    }

    /// Says whether the deadline was still to come. A row that has expired goes too: with a clock that is set back it would
    /// live again.
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
        // MySQL does not count a row whose deadline was as late already.
        let found = moved.affected == 0 && self.finds(&statements.has_live_version, condition).await?;
        Ok(found || moved.found_its_row()?)
    }

    async fn has_version(&self, key: StoreKey, version: Version) -> Result<bool, Error> {
        self.finds(&self.0.statements.has_version, vec![id(key), number(version)]).await
    }

    async fn finds(&self, query: &str, values: Vec<Value>) -> Result<bool, Error> {
        Ok(!self.rows(query, values).await?.rows.is_empty())
    }

    async fn time(&self) -> Result<Time, Error> {
        let found = self.rows(&self.0.statements.time, vec![self.now()]).await?;
        let now = found.rows.into_iter().next().and_then(|mut row| row.take(0));
        now.map(time).ok_or_else(error::no_time)
    }

    /// A server hangs up on a packet that is larger than it takes, instead of saying so.
    async fn unless_too_large(&self, size: usize, error: Error) -> Error {
        if size < SMALLEST_PACKET {
            return error;
        }
        let limit = self.rows("SELECT @@max_allowed_packet", Vec::new()).await;
        let limit = limit.ok().and_then(|mut found| found.rows.pop()?.take::<usize, _>(0));
        if limit.is_some_and(|limit| size + 1_024 > limit) { error::too_large().because(error) } else { error }
    }

    async fn keys(&self, statement: &str, values: Vec<Value>) -> Result<Vec<StoreKey>, Error> {
        let found = self.rows(statement, values).await?.rows;
        let key = |mut row: mysql_async::Row| row.take::<Vec<u8>, _>(0)?.try_into().ok().map(StoreKey::new);
        found.into_iter().map(|row| key(row).ok_or_else(error::damaged)).collect()
    }

    async fn page(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let (after, budget) = (Page::last_key(cursor)?, budget.max(1));
        let after = after.map_or_else(|| Value::Bytes(Vec::new()), id);
        let keys = self.keys(&self.0.statements.scan, vec![after, self.now(), limit(budget)]).await?;
        Ok(Page::ordered(keys, budget))
    }

    async fn free(&self, budget: usize) -> Result<SweepReport, Error> {
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
                Err(error) if error.kind() == ErrorKind::Unavailable => Err(self.unless_too_large(size, error).await),
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
        Reply::new(self.free(budget))
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

/// At most the year 9999, also as a lifetime: far below where the sign begins.
fn millis(millis: u128) -> Value {
    const NEVER: i64 = Time::MAX.as_millis().cast_signed();
    Value::Int(i64::try_from(millis).map_or(NEVER, |millis| millis.min(NEVER)))
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis.cast_unsigned())
}
