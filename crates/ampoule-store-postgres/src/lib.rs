//! Ampoule sessions in PostgreSQL, version 12 or later.
//!
//! ```no_run
//! use ampoule_store_postgres::{PostgresOptions, PostgresStore};
//!
//! let store = PostgresStore::connect("postgres://app@db.example/app", PostgresOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! Reading is one prepared statement, writing is one, each a step that the server does whole or not at all; the version
//! stands in the statement's condition. Connections come from a pool. Nothing is connected before it is needed, so an
//! application starts while its database is down, and goes on when it is back.
//!
//! # The table
//!
//! It is made when it is first found missing, unless [`PostgresOptions::migrate`] says no; [`PostgresStore::migrate`]
//! makes it at once. Or run this yourself, with the names of your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       bytea  PRIMARY KEY, -- 32 bytes: the digest of the session's id, not the id
//!     version  bigint NOT NULL,    -- random, new with each write
//!     deadline bigint NOT NULL,    -- milliseconds since 1970, UTC
//!     tag      bytea,              -- 32 bytes: the digest of whose session it is
//!     value    bytea  NOT NULL
//! );
//! CREATE INDEX ampoule_sessions_deadline ON ampoule_sessions (deadline);
//! CREATE INDEX ampoule_sessions_tag ON ampoule_sessions (tag) WHERE tag IS NOT NULL;
//! ```
//!
//! The application's role needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it.
//!
//! # What survives
//!
//! A save that has returned survives a crash of the server with PostgreSQL's own settings. With
//! `synchronous_commit = off` the last half second may be lost, and after a failover to an asynchronous replica what it
//! had not yet received; both are settings of the server.
//!
//! # TLS
//!
//! With `sslmode=require` in the URL the connection is encrypted and the server's certificate is verified with the
//! system's trusted roots, which is more than libpq does for that word. Otherwise it is not encrypted. For anything
//! else bring a pool: [`PostgresStore::with_pool`].

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connect;
mod error;
mod query;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, SystemClock, Tag, Time, Version,
};
use bytes::Bytes;
pub use deadpool_postgres;
use deadpool_postgres::Pool;

use self::query::Values;
use self::statements::Statements;

/// How a [`PostgresStore`] works.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The table: letters, digits and underscores. `ampoule_sessions` by default.
    pub table: String,
    /// The schema it lies in; by default the first of the role's search path.
    pub schema: Option<String>,
    /// Whether the table is made when it is found missing: `true` by default. With `false` only
    /// [`migrate`](PostgresStore::migrate) makes it.
    pub migrate: bool,
    /// How many connections there are at most: 16 by default. Not for a pool of your own.
    pub max_connections: usize,
    /// How long making a connection may take: 2 seconds by default. Not for a pool of your own.
    pub connect_timeout: Duration,
    /// How long to wait for a connection that others use: 2 seconds by default. Not for a pool of your own.
    pub pool_timeout: Duration,
    /// How long a statement may take: 3 seconds by default. Its connection is then given up.
    pub command_timeout: Duration,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            table: "ampoule_sessions".to_owned(),
            schema: None,
            migrate: true,
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Sessions in a table of PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    pool: Pool,
    statements: Statements,
    migrate: bool,
    command_timeout: Duration,
    clock: Arc<dyn Clock>,
    description: String,
}

impl PostgresStore {
    /// A store at this URL, such as `postgres://user:password@host:5432/database`, with a pool of its own. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the URL or a name in the options is none.
    pub fn connect(url: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let (pool, place) = connect::pool(url, &options)?;
        PostgresStore::build(pool, &place, options)
    }

    /// A store on the application's own pool, which may have other work too.
    ///
    /// ```
    /// # fn pool() -> Result<(), Box<dyn std::error::Error>> {
    /// use ampoule_store_postgres::deadpool_postgres::{Config, Runtime, tokio_postgres::NoTls};
    /// use ampoule_store_postgres::{PostgresOptions, PostgresStore};
    ///
    /// let config = Config { url: Some("postgres://app@localhost/app".to_owned()), ..Config::default() };
    /// let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
    /// let store = PostgresStore::with_pool(pool.clone(), PostgresOptions::default())?;
    /// # Ok(()) }
    /// # pool().unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if a name in the options is none.
    pub fn with_pool(pool: Pool, options: PostgresOptions) -> Result<PostgresStore, Error> {
        PostgresStore::build(pool, "a pool of the application's", options)
    }

    fn build(pool: Pool, place: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let statements = Statements::new(options.schema.as_deref(), &options.table)?;
        let description = format!("PostgreSQL at {place}, table {}", options.table);
        let PostgresOptions { migrate, command_timeout, clock, .. } = options;
        Ok(PostgresStore(Arc::new(Inner { pool, statements, migrate, command_timeout, clock, description })))
    }

    /// Makes table and indexes if they are missing. Any number of processes may do so at once.
    ///
    /// # Errors
    /// Those of the server: that it cannot be reached, or that the role may not make tables.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.batch(&self.0.statements.schema).await
    }

    async fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let (statements, now) = (&self.0.statements, millis(self.0.clock.now()));
        let version = Version(getrandom::u64().map_err(|cause| error::no_random(cause.to_string()))?);
        let (id, value, tag) =
            (&key.as_bytes()[..], &entry.value[..], entry.tag.as_ref().map(|tag| &tag.as_bytes()[..]));
        let (new, deadline) = (version.0.cast_signed(), millis(entry.deadline));
        let written = match when {
            _ if deadline <= now => return self.remove(key, version, when).await,
            Put::Create => self.rows(&statements.create, &[&id, &new, &deadline, &tag, &value, &now]).await?,
            Put::Replace(Version(old)) => {
                let old = old.cast_signed();
                self.rows(&statements.replace, &[&id, &new, &deadline, &tag, &value, &old, &now]).await?
            }
            Put::Always => self.rows(&statements.overwrite, &[&id, &new, &deadline, &tag, &value]).await?,
        };
        let mut done = !written.rows.is_empty();
        if !done && written.again {
            // The connection broke on the way: the first try may have been the one that wrote.
            done = !self.rows(&statements.has_version, &[&id, &new]).await?.rows.is_empty();
        }
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    /// What a put with a past deadline does: the same condition, and nothing is left.
    async fn remove(&self, key: StoreKey, version: Version, when: Put) -> Result<Outcome, Error> {
        let (statements, now) = (&self.0.statements, millis(self.0.clock.now()));
        let id = &key.as_bytes()[..];
        let done = match when {
            Put::Replace(Version(old)) => {
                self.changes(&statements.delete_version, &[&id, &now, &old.cast_signed()]).await?
            }
            Put::Create => !self.changes(&statements.get, &[&id, &now]).await?,
            Put::Always => self.changes(&statements.delete, &[&id, &now]).await.map(|_| true)?,
        };
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let (id, now) = (&key.as_bytes()[..], millis(self.0.clock.now()));
        let found = self.rows(&self.0.statements.get, &[&id, &now]).await?;
        let stored = |row: &tokio_postgres::Row| -> Result<Stored, tokio_postgres::Error> {
            Ok(Stored {
                value: Bytes::copy_from_slice(row.try_get(0)?),
                version: Version(row.try_get::<_, i64>(1)?.cast_unsigned()),
                deadline: Time::from_millis(row.try_get::<_, i64>(2)?.cast_unsigned()),
            })
        };
        found.rows.first().map(stored).transpose().map_err(error::from)
    }

    async fn move_deadline(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let (id, now, deadline) = (&key.as_bytes()[..], millis(self.0.clock.now()), millis(deadline));
        if deadline <= now {
            return self.changes(&self.0.statements.delete, &[&id, &now]).await;
        }
        self.changes(&self.0.statements.touch, &[&id, &deadline, &now]).await
    }

    async fn changes(&self, statement: &str, values: Values<'_>) -> Result<bool, Error> {
        Ok(!self.rows(statement, values).await?.rows.is_empty())
    }

    async fn keys(&self, statement: &str, values: Values<'_>) -> Result<Vec<StoreKey>, Error> {
        let found = self.rows(statement, values).await?;
        found.rows.iter().map(|row| error::key(row.try_get(0).map_err(error::from)?)).collect()
    }

    /// In the order of the keys; a place is the last one.
    async fn page(&self, from: Option<&str>, budget: usize) -> Result<Page, Error> {
        let after = from.map(|place| StoreKey::parse(place).ok_or_else(|| Page::unknown(place))).transpose()?;
        let after = after.as_ref().map_or(&[][..], |key| &key.as_bytes()[..]);
        let (budget, now) = (budget.max(1), millis(self.0.clock.now()));
        let limit = i64::try_from(budget).unwrap_or(i64::MAX);
        let keys = self.keys(&self.0.statements.scan, &[&after, &now, &limit]).await?;
        let next = keys.last().filter(|_| keys.len() >= budget).map(ToString::to_string);
        Ok(Page { keys, next })
    }

    async fn free(&self, budget: usize) -> Result<Swept, Error> {
        let limit = i64::try_from(budget).unwrap_or(i64::MAX);
        let now = millis(self.0.clock.now());
        let removed = self.rows(&self.0.statements.sweep, &[&self.0.statements.turn, &now, &limit]).await?.rows.len();
        Ok(Swept { removed: removed as u64, more: removed > 0 && removed >= budget })
    }
}

impl Store for PostgresStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Reply::new(self.write(key, entry, when))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move {
            let (id, now) = (&key.as_bytes()[..], millis(self.0.clock.now()));
            self.changes(&self.0.statements.delete, &[&id, &now]).await
        })
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move {
            let (tag, now) = (&tag.as_bytes()[..], millis(self.0.clock.now()));
            self.keys(&self.0.statements.tagged, &[&tag, &now]).await
        })
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

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresStore({})", self.0.description)
    }
}

/// At most the year 9999: far below where the sign begins.
fn millis(time: Time) -> i64 {
    time.as_millis().cast_signed()
}
