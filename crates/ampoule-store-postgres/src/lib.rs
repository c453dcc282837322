//! Ampoule sessions in PostgreSQL, version 12 or later.
//!
//! ```no_run
//! use ampoule_store_postgres::{PostgresOptions, PostgresStore};
//!
//! let store = PostgresStore::connect("postgres://app@db.example/app", PostgresOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! A read is one statement, and so is a write. The server executes each of them whole or not at all; the condition of a
//! write includes the version that it replaces. Connections come from a pool, which connects when it is first used: an
//! application starts while its database is down, and uses it once it is up.
//!
//! # The table
//!
//! The store creates its table when it first finds it missing, unless [`PostgresOptions::migrate`] is `false`.
//! [`PostgresStore::migrate`] creates it at once. Or run this yourself, with the names from your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       bytea  PRIMARY KEY, -- 32 bytes: derived from the session's id, which is not a secret
//!     version  bigint NOT NULL,    -- random, new with each write
//!     deadline bigint NOT NULL,    -- milliseconds since 1970, UTC, by the server's clock
//!     tag      bytea,              -- 32 bytes: the digest of the session's principal
//!     value    bytea  NOT NULL
//! );
//! CREATE INDEX ampoule_sessions_deadline ON ampoule_sessions (deadline);
//! CREATE INDEX ampoule_sessions_tag ON ampoule_sessions (tag) WHERE tag IS NOT NULL;
//! ```
//!
//! The application's role needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it.
//!
//! # The clock
//!
//! The server's clock alone decides what has expired. Each statement reads the clock of the server that runs it, so an
//! application whose own clock is wrong neither ends sessions early nor keeps them longer.
//!
//! # Durability
//!
//! With PostgreSQL's default settings, a save that has returned survives a crash of the server. With
//! `synchronous_commit = off` a crash may lose the last 0.6 s (three times `wal_writer_delay`). A failover to an
//! asynchronous replica loses what the replica had not received.
//!
//! # Poolers
//!
//! Prepared statements have names, under which the server keeps their plans. Behind a pooler such as PgBouncer a name
//! may belong to the statement of another client, so there the store uses unnamed statements. It detects a pooler by
//! one query on each new connection. To set it beforehand, use [`PostgresOptions::prepared_statements`], or
//! `?prepared_statements=false` in the URL. A pooler does not pass the URL's `options` on to the server.
//!
//! # Time limits, locks and isolation
//!
//! A statement that exceeds [`PoolOptions::command_timeout`](ampoule_core::PoolOptions::command_timeout) is cancelled
//! on the server, and so is a statement whose caller is cancelled. Its place in the pool stays taken until it has
//! ended, so connections do not pile up behind a lock.
//!
//! - Connections of the store's own pool also have this limit as their `statement_timeout`, and the isolation level
//!   `read committed`.
//! - On an application's pool that requires TLS, the store cannot send cancel requests. Set a `statement_timeout` for
//!   its role.
//! - Behind a pooler nothing is cancelled: the request might reach the statement of another client, and can crash
//!   PgBouncer 1.17 to 1.19. A statement is waited for up to ten times the limit instead. Set a limit on the server:
//!   `ALTER ROLE app SET statement_timeout = '3s'`.
//! - If the isolation level is stricter than `read committed`, the store repeats statements that the server rolled
//!   back, until the time limit.
//!
//! # TLS
//!
//! TLS needs one of the features `tls-ring`, `tls-aws-lc-rs` and `tls`. **Without them `prefer`, the default, connects
//! unencrypted**, as in a libpq that was built without TLS, and every mode that requires TLS is an error. The URL's
//! `sslmode` has the meaning that it has in libpq:
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer`, the default | if the server offers it | is not verified |
//! | `require` | yes | is not verified, unless a CA is set |
//! | `verify-ca` | yes | must be signed by a trusted CA |
//! | `verify-full` | yes | must be signed by a trusted CA, for this host |
//!
//! The trusted CAs are those in `sslrootcert` or [`PostgresOptions::tls`], a PEM file, or else the system's. `sslcert`
//! and `sslkey` are the client's own certificate and its key. Use `verify-full` on any network that others have access
//! to. Connections through a Unix socket are not encrypted. For other settings use a pool of your own:
//! `PostgresStore::with_pool`, with the feature `deadpool-postgres-0_14`.

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
// Without TLS the connector is `NoTls`, which is `Copy`.
#![cfg_attr(not(feature = "tls"), allow(clippy::clone_on_copy))]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connect;
mod connection;
mod error;
mod options;
mod process_id;
mod query;
mod statements;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
    write_and_read_back,
};
use bytes::Bytes;
/// The crate of the pool that [`PostgresStore::with_pool`] takes.
#[cfg(feature = "deadpool-postgres-0_14")]
pub use deadpool_postgres as deadpool_postgres_0_14;
#[cfg(feature = "deadpool-postgres-0_14")]
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use self::connection::Connections;
pub use self::options::PostgresOptions;
use self::statements::{Statements, Value};

/// A store of sessions in a PostgreSQL table.
///
/// A handle that is cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    connections: Connections,
    statements: Statements,
    migrate: bool,
    clock: Option<Arc<dyn Clock>>,
    description: String,
}

impl PostgresStore {
    /// Creates a store at this URL, such as `postgres://user:password@host:5432/database`, with its own pool. It
    /// connects when it is first used.
    ///
    /// ```
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_postgres::{PostgresOptions, PostgresStore};
    ///
    /// let store = PostgresStore::connect("postgres://app:secret@db.example/shop", PostgresOptions::default())?;
    /// assert_eq!(store.describe(), "PostgreSQL at db.example:5432/shop, table ampoule_sessions");
    ///
    /// let typo = "postgres://app:secret@db.example/shop?sslmod=require";
    /// let error = PostgresStore::connect(typo, PostgresOptions::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the URL or a name in the options is invalid, if a file
    /// for TLS cannot be read, or if the URL needs a cargo feature that is off.
    pub fn connect(url: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let (connections, location) = connect::connections(url, &options)?;
        PostgresStore::build(connections, &location, options)
    }

    /// Creates a store on the application's own pool, which the application may use for other statements too.
    ///
    /// ```
    /// # fn pool() -> Result<(), Box<dyn std::error::Error>> {
    /// use ampoule_store_postgres::deadpool_postgres_0_14::{Config, Runtime, tokio_postgres::NoTls};
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
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if a name in the options is invalid.
    #[cfg(feature = "deadpool-postgres-0_14")]
    pub fn with_pool(pool: Pool, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let connections =
            Connections::new(pool, None, false, options.prepared_statements, options.pool.command_timeout);
        PostgresStore::build(connections, "the application's pool", options)
    }

    fn build(connections: Connections, location: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let statements = Statements::new(options.schema.as_deref(), &options.table)?;
        let description = format!("PostgreSQL at {location}, table {}", options.table);
        let PostgresOptions { migrate, clock, .. } = options;
        Ok(PostgresStore(Arc::new(Inner { connections, statements, migrate, clock, description })))
    }

    /// Creates the table and its indexes if they do not exist. Any number of processes may call it at the same time.
    ///
    /// ```
    /// # use ampoule_test_servers::{Kind, shared};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let Some(server) = shared(Kind::Postgres) else { return Ok(()) };
    /// # let url = server.url();
    /// use ampoule_core::Store;
    /// use ampoule_store_postgres::{PostgresOptions, PostgresStore};
    ///
    /// let store = PostgresStore::connect(url, PostgresOptions { migrate: false, ..PostgresOptions::default() })?;
    /// store.migrate().await?;
    /// store.ping().await?;
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](ampoule_core::ErrorKind::Unavailable) if the server cannot be reached or the role may
    /// not create tables, [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout) if it takes longer than
    /// `command_timeout`.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.batch(&self.0.statements.schema).await
    }

    /// Returns the value for `$1`: the time of a test's clock, or null for the server's.
    fn now(&self) -> Value<'static> {
        Value::Int(self.0.clock.as_ref().map(|clock| millis(clock.now().as_millis().into())))
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let found = self.rows(&self.0.statements.get, &[self.now(), (&key).into()]).await?;
        let stored = |row: &Row| -> Result<Stored, tokio_postgres::Error> {
            Ok(Stored {
                value: Bytes::copy_from_slice(row.try_get(0)?),
                version: Version(row.try_get::<_, i64>(1)?.cast_unsigned()),
                deadline: time(row.try_get(2)?),
            })
        };
        found.rows.first().map(stored).transpose().map_err(error::from)
    }

    async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let (statements, version) = (&self.0.statements, Version::random()?);
        let lifetime = millis(entry.lifetime.as_millis());
        if lifetime == 0 {
            let done = self.remove(key, mode).await?;
            return Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict });
        }
        let (id, new, tag) = (Value::from(&key), version.into(), entry.tag.as_ref());
        let tag = tag.map_or(Value::Bytes(None), Value::from);
        let row = [self.now(), id, new, lifetime.into(), tag, entry.value[..].into()];
        let written = match mode {
            PutMode::Create => self.rows(&statements.create, &row).await?,
            PutMode::Replace(old) => self.rows(&statements.replace, &[&row[..], &[old.into()]].concat()).await?,
            PutMode::Always => self.rows(&statements.overwrite, &row).await?,
        };
        // If the connection broke, the first of the two statements may have written the row.
        let is_unclear = written.sent_twice && written.rows.is_empty();
        let done =
            is_unclear && self.returns_rows(&statements.has_version, &[id, new]).await? || written.matched_row()?;
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// Executes a put with a lifetime of zero: it has the same condition, and removes the row.
    async fn remove(&self, key: StoreKey, mode: PutMode) -> Result<bool, Error> {
        let (statements, now, id) = (&self.0.statements, self.now(), Value::from(&key));
        match mode {
            PutMode::Create => Ok(!self.returns_rows(&statements.get, &[now, id]).await?),
            PutMode::Replace(old) => self.rows(&statements.delete_version, &[now, id, old.into()]).await?.matched_row(),
            PutMode::Always => self.returns_rows(&statements.delete, &[now, id]).await.map(|_| true),
        }
    }

    async fn move_deadline(&self, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let lifetime = millis(lifetime.as_millis());
        let values = [self.now(), (&key).into(), version.into(), lifetime.into()];
        self.rows(&self.0.statements.touch, &values).await?.matched_row()
    }

    /// Returns whether a statement returns a row: one that it found, changed or removed.
    async fn returns_rows(&self, statement: &str, values: &[Value<'_>]) -> Result<bool, Error> {
        Ok(!self.rows(statement, values).await?.rows.is_empty())
    }

    async fn time(&self) -> Result<Time, Error> {
        let found = self.rows(&self.0.statements.time, &[self.now()]).await?;
        let now = found.rows.first().map(|row| row.try_get(0)).transpose().map_err(error::from)?;
        now.map(time).ok_or_else(error::no_time)
    }

    async fn keys(&self, statement: &str, values: &[Value<'_>]) -> Result<Vec<StoreKey>, Error> {
        let found = self.rows(statement, values).await?;
        found.rows.iter().map(|row| error::key(row.try_get(0).map_err(error::from)?)).collect()
    }

    async fn page(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let (after, budget) = (Page::last_key(cursor)?, budget.max(1));
        let after = after.as_ref().map_or(Value::from(&[][..]), Value::from);
        let keys = self.keys(&self.0.statements.scan, &[self.now(), after, limit(budget)]).await?;
        Ok(Page::ordered(keys, budget))
    }

    async fn remove_expired(&self, budget: usize) -> Result<SweepReport, Error> {
        let statements = &self.0.statements;
        let values = [self.now(), statements.advisory_lock.into(), limit(budget)];
        let removed = self.rows(&statements.sweep, &values).await?.rows.len();
        Ok(SweepReport { removed: removed as u64, more: removed > 0 && removed >= budget })
    }
}

impl Store for PostgresStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(self.write(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move { self.returns_rows(&self.0.statements.delete, &[self.now(), (&key).into()]).await })
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move { self.keys(&self.0.statements.keys_with_tag, &[self.now(), (&tag).into()]).await })
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

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresStore({})", self.0.description)
    }
}

/// Converts a time or a lifetime, capped at [`Time::MAX`] (the year 9999), so that the sum of two fits an `i64`.
fn millis(millis: u128) -> i64 {
    i64::try_from(millis).map_or(MAX_MILLIS, |millis| millis.min(MAX_MILLIS))
}

fn limit(budget: usize) -> Value<'static> {
    i64::try_from(budget).unwrap_or(i64::MAX).into()
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis.cast_unsigned())
}

const MAX_MILLIS: i64 = Time::MAX.as_millis().cast_signed();
