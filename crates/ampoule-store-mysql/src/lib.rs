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
//! application starts while its database is down, and goes on when it is back. A statement that was begun ends, even
//! when the request that asked for it goes away.
//!
//! # The table
//!
//! It is made when it is first found missing, unless [`MySqlOptions::migrate`] says no; [`MySqlStore::migrate`] makes it
//! at once. Or run this yourself, with the name of your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       BINARY(32) NOT NULL PRIMARY KEY, -- the digest of the session's id, not the id
//!     version  BIGINT     NOT NULL,             -- random, new with each write
//!     deadline BIGINT     NOT NULL,             -- milliseconds since 1970, UTC: no year 2038
//!     tag      BINARY(32),                      -- the digest of whose session it is
//!     value    LONGBLOB   NOT NULL,             -- a BLOB would end at 64 KiB
//!     INDEX deadline (deadline),
//!     INDEX tag (tag)
//! ) ENGINE=InnoDB;
//! ```
//!
//! The application's user needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it. A value larger than the server's
//! `max_allowed_packet` is [`ErrorKind::TooLarge`].
//!
//! # What survives
//!
//! A save that has returned survives a crash of the server with its own settings
//! (`innodb_flush_log_at_trx_commit = 1`). With 0 or 2 the last second may be lost, and after a failover to an
//! asynchronous replica what it had not yet received; both are settings of the server.
//!
//! # TLS
//!
//! With `?require_ssl=true` in the URL the connection is encrypted and the server's certificate verified. For anything
//! else bring a pool: [`MySqlStore::with_pool`].

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod error;
mod query;
mod statements;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::{
    Bytes, Clock, Entry, Error, ErrorKind, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, SystemClock, Tag,
    Time, Version,
};
pub use mysql_async;
use mysql_async::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, Value};

use self::statements::Statements;

/// What every server takes: the least that `max_allowed_packet` may be in practice.
const SMALLEST_PACKET: usize = 512 << 10;

/// How long a connection that nobody uses is kept: less than what a proxy or a firewall between grants it.
const IDLE: Duration = Duration::from_secs(60);

/// How a [`MySqlStore`] works.
#[derive(Clone)]
pub struct MySqlOptions {
    /// The table: letters, digits and underscores, and a database before it if it is another than the URL's:
    /// `other.sessions`. `ampoule_sessions` by default.
    pub table: String,
    /// Whether the table is made when it is found missing: `true` by default. With `false` only
    /// [`migrate`](MySqlStore::migrate) makes it.
    pub migrate: bool,
    /// How many connections there are at most: 16 by default. Not for a pool of your own.
    pub max_connections: usize,
    /// How long making a connection may take: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long to wait for a connection that others use, besides: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a statement may take: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for MySqlOptions {
    fn default() -> MySqlOptions {
        MySqlOptions {
            table: "ampoule_sessions".to_owned(),
            migrate: true,
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: Arc::new(SystemClock),
        }
    }
}

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
        self.pool.get_or_init(|| Pool::new(self.opts.clone().unwrap_or_default()))
    }
}

impl MySqlStore {
    /// A store at this URL, such as `mysql://user:password@host:3306/database`, with a pool of its own. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL or the table's name is none.
    pub fn connect(url: &str, options: MySqlOptions) -> Result<MySqlStore, Error> {
        let expected = "expected a URL such as mysql://user:password@host:3306/database";
        let url = url.strip_prefix("mariadb://").map_or_else(|| url.to_owned(), |rest| format!("mysql://{rest}"));
        let opts = Opts::from_url(&url).map_err(|cause| Error::new(ErrorKind::Config, expected).because(cause))?;
        let place = format!("{}:{}/{}", opts.ip_or_hostname(), opts.tcp_port(), opts.db_name().unwrap_or_default());
        let constraints = PoolConstraints::new(0, options.max_connections.max(1)).unwrap_or_default();
        // A reset would forget the prepared statements; nothing that we do needs one.
        let pool = PoolOpts::new().with_constraints(constraints).with_reset_connection(false);
        // Without it the driver hangs up after each statement.
        let pool = pool.with_inactive_connection_ttl(IDLE);
        let read_committed = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        let opts = OptsBuilder::from_opts(opts)
            .pool_opts(pool)
            .prefer_socket(false)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .setup(vec![read_committed]);
        MySqlStore::build(OnceLock::new(), Some(opts.into()), &place, options)
    }

    /// A store on the application's own pool, which may have other work too.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ampoule_store_mysql::{MySqlOptions, MySqlStore, mysql_async::Pool};
    ///
    /// let pool = Pool::new("mysql://app@localhost/app");
    /// let store = MySqlStore::with_pool(pool.clone(), MySqlOptions::default())?;
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the table's name is none.
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
        self.make_table().await
    }

    fn now(&self) -> i64 {
        millis(self.0.options.clock.now())
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let found = self.rows(&self.0.statements.get, vec![id(key), self.now().into()]).await?;
        let Some(mut row) = found.rows.into_iter().next() else { return Ok(None) };
        let mut stored = || {
            Some(Stored {
                value: Bytes::from(row.take::<Vec<u8>, _>(0)?),
                version: Version(row.take::<i64, _>(1)?.cast_unsigned()),
                deadline: Time::from_millis(row.take::<i64, _>(2)?.cast_unsigned()),
            })
        };
        stored().map(Some).ok_or_else(error::damaged)
    }

    async fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let (statements, now) = (&self.0.statements, self.now());
        let version = Version(getrandom::u64().map_err(|cause| error::no_random(cause.to_string()))?);
        let deadline = millis(entry.deadline);
        if deadline <= now {
            return self.remove(key, version, when).await;
        }
        let new: Value = version.0.cast_signed().into();
        let row = vec![new.clone(), deadline.into(), tag_of(&entry), Value::Bytes(entry.value.to_vec())];
        let written = match when {
            Put::Create => return self.create(key, row, version).await,
            Put::Replace(Version(old)) => {
                let condition = [id(key), old.cast_signed().into(), now.into()];
                self.rows(&statements.replace, [row, condition.into()].concat()).await?
            }
            Put::Always => self.rows(&statements.overwrite, [vec![id(key)], row.clone(), row].concat()).await?,
        };
        let mut done = written.affected > 0;
        if !done && written.again {
            // The connection broke on the way: the first try may have been the one that wrote.
            done = !self.rows(&statements.has_version, vec![id(key), new]).await?.rows.is_empty();
        }
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    /// Inserts; where the key is there, takes it over if it has expired.
    async fn create(&self, key: StoreKey, row: Vec<Value>, version: Version) -> Result<Outcome, Error> {
        let statements = &self.0.statements;
        for _ in 0..3 {
            let inserted = self.rows(&statements.insert, [vec![id(key)], row.clone()].concat()).await?;
            if inserted.affected > 0 {
                return Ok(Outcome::Stored(version));
            }
            let expired = [row.clone(), vec![id(key), self.now().into()]].concat();
            if self.rows(&statements.take_over, expired).await?.affected > 0 {
                return Ok(Outcome::Stored(version));
            }
            let ours = vec![id(key), version.0.cast_signed().into()];
            if inserted.again && !self.rows(&statements.has_version, ours).await?.rows.is_empty() {
                return Ok(Outcome::Stored(version));
            }
            if !self.rows(&statements.get, vec![id(key), self.now().into()]).await?.rows.is_empty() {
                return Ok(Outcome::Conflict);
            }
            // It was swept in between: the key is free.
        }
        Ok(Outcome::Conflict)
    }

    /// What a put with a past deadline does: the same condition, and nothing is left.
    async fn remove(&self, key: StoreKey, version: Version, when: Put) -> Result<Outcome, Error> {
        let statements = &self.0.statements;
        let live = vec![id(key), self.now().into()];
        let done = match when {
            Put::Replace(Version(old)) => {
                let condition = [live, vec![old.cast_signed().into()]].concat();
                self.rows(&statements.delete_version, condition).await?.affected > 0
            }
            Put::Create => self.rows(&statements.get, live).await?.rows.is_empty(),
            Put::Always => self.rows(&statements.delete, live).await.map(|_| true)?,
        };
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    async fn move_deadline(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let (statements, now, deadline) = (&self.0.statements, self.now(), millis(deadline));
        if deadline <= now {
            return Ok(self.rows(&statements.delete, vec![id(key), now.into()]).await?.affected > 0);
        }
        let moved = self.rows(&statements.touch, vec![deadline.into(), id(key), now.into()]).await?;
        if moved.affected > 0 {
            return Ok(true);
        }
        // MySQL does not count a row that had this very deadline already.
        Ok(!self.rows(&statements.has_deadline, vec![id(key), deadline.into()]).await?.rows.is_empty())
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

    /// In the order of the keys; a place is the last one.
    async fn page(&self, from: Option<&str>, budget: usize) -> Result<Page, Error> {
        let after = from.map(|place| StoreKey::parse(place).ok_or_else(|| Page::unknown(place))).transpose()?;
        let after = after.map_or_else(|| Value::Bytes(Vec::new()), id);
        let budget = budget.max(1);
        let keys = self.keys(&self.0.statements.scan, vec![after, self.now().into(), limit(budget)]).await?;
        let next = keys.last().filter(|_| keys.len() >= budget).map(ToString::to_string);
        Ok(Page { keys, next })
    }

    async fn free(&self, budget: usize) -> Result<Swept, Error> {
        let removed = self.rows(&self.0.statements.sweep, vec![self.now().into(), limit(budget)]).await?.affected;
        Ok(Swept { removed, more: removed > 0 && removed >= budget as u64 })
    }
}

impl Store for MySqlStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        let size = entry.value.len();
        Reply::new(async move {
            match self.write(key, entry, when).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => Err(self.unless_too_large(size, error).await),
                outcome => outcome,
            }
        })
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move {
            Ok(self.rows(&self.0.statements.delete, vec![id(key), self.now().into()]).await?.affected > 0)
        })
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        let tag = Value::Bytes(tag.as_bytes().to_vec());
        Reply::new(async move { self.keys(&self.0.statements.tagged, vec![tag, self.now().into()]).await })
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.page(from, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        Reply::new(self.free(budget))
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

/// At most the year 9999: far below where the sign begins.
fn millis(time: Time) -> i64 {
    time.as_millis().cast_signed()
}
