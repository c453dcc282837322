//! Ampoule sessions in PostgreSQL, version 12 or later.
//!
//! ```no_run
//! use ampoule_store_postgres::{PostgresOptions, PostgresStore};
//!
//! let store = PostgresStore::connect("postgres://app@db.example/app", PostgresOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! Reading is one statement, writing is one, each a step that the server does whole or not at all; the version stands in
//! the statement's condition. Connections come from a pool. Nothing is connected before it is needed, so an application
//! starts while its database is down, and continues when it is back.
//!
//! # The table
//!
//! It is made when it is first found missing, unless [`PostgresOptions::migrate`] says no; [`PostgresStore::migrate`]
//! makes it at once. Or run this yourself, with the names of your options:
//!
//! ```sql
//! CREATE TABLE ampoule_sessions (
//!     id       bytea  PRIMARY KEY, -- 32 bytes: made of the session's handle, which is no secret
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
//! The server's clock alone decides what has expired. Each statement takes the time from the server that runs it, so an
//! application whose own clock is wrong neither ends sessions nor keeps them longer.
//!
//! # What survives
//!
//! A save that has returned survives a crash of the server with PostgreSQL's own settings. With
//! `synchronous_commit = off` the last half second may be lost, and after a failover to an asynchronous replica what it
//! had not yet received; both are settings of the server.
//!
//! # Poolers
//!
//! The server keeps statements under names, unless a connection leads to a pooler, such as PgBouncer: there a name may mean
//! another process's statement. Each new connection is asked once whether it leads to the process of the server that it was
//! told of. [`PostgresOptions::prepared_statements`], or `?prepared_statements=false` in the URL, says so beforehand. A pooler
//! passes on no `options` of the URL.
//!
//! # Time limits, locks and isolation
//!
//! A statement that takes longer than [`PoolOptions::command_timeout`](ampoule_core::PoolOptions::command_timeout) is cancelled at the server, and so is one
//! whose caller goes away; its place in the pool stays taken until it has ended, so that connections do not pile up
//! while a lock is held. On connections of your own pool that require TLS no request to cancel can be sent: give their
//! role a `statement_timeout`. Connections of the store's own pool have that limit as their `statement_timeout`, and
//! `read committed`. Behind a pooler nothing is cancelled, since the request might meet another client's statement
//! (and ends PgBouncer 1.17 to 1.19): a statement is waited for up to ten times as long. There let the server end it:
//! `ALTER ROLE app SET statement_timeout = '3s'`. Under a stricter isolation than `read committed` statements that the
//! server rolled back are repeated within their time.
//!
//! # TLS
//!
//! It needs one of the features `tls-ring`, `tls-aws-lc-rs` or `tls`. **Without them `prefer`, the default, connects in
//! clear**, as libpq does that was built without TLS; whatever requires TLS is an error. The URL's `sslmode` means what it
//! means to libpq:
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer`, the default | if the server offers it | is not verified |
//! | `require` | yes | is not verified, unless a CA is given |
//! | `verify-ca` | yes | must be signed by a CA that is trusted |
//! | `verify-full` | yes | and must be for this host |
//!
//! Trusted are the CAs in `sslrootcert` or [`PostgresOptions::tls`], a file in PEM, else those of the system. `sslcert` and
//! `sslkey` are the client's own certificate. Use `verify-full` wherever the network is not yours. Connections through a socket
//! of this machine are not encrypted. For anything else bring a pool: `PostgresStore::with_pool`, with the
//! feature `deadpool-postgres-0_14`.

// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod connect;
mod connection;
mod encryption;
mod error;
mod options;
mod process_id;
mod query;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
    write_and_read_back,
};
use bytes::Bytes;
/// The pool, for [`PostgresStore::with_pool`].
#[cfg(feature = "deadpool-postgres-0_14")]
pub use deadpool_postgres as deadpool_postgres_0_14;
#[cfg(feature = "deadpool-postgres-0_14")]
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use self::connection::Connections;
pub use self::options::PostgresOptions;
use self::statements::{Statements, Value};

/// Sessions in a table of PostgreSQL.
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
    /// A store at this URL, such as `postgres://user:password@host:5432/database`, with a pool of its own. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the URL or a name in the options is invalid.
    pub fn connect(url: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let (connections, place) = connect::connections(url, &options)?;
        PostgresStore::build(connections, &place, options)
    }

    /// A store on the application's own pool, which may have other work too.
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
        PostgresStore::build(connections, "a pool of the application's", options)
    }

    fn build(connections: Connections, place: &str, options: PostgresOptions) -> Result<PostgresStore, Error> {
        let statements = Statements::new(options.schema.as_deref(), &options.table)?;
        let description = format!("PostgreSQL at {place}, table {}", options.table);
        let PostgresOptions { migrate, clock, .. } = options;
        Ok(PostgresStore(Arc::new(Inner { connections, statements, migrate, clock, description })))
    }

    /// Makes table and indexes if they are missing. Any number of processes may do so at once.
    ///
    /// # Errors
    /// Those of the server: that it cannot be reached, or that the role may not make tables.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.batch(&self.0.statements.schema).await
    }

    /// What goes in for `$1`: null where the server tells the time.
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
        // Where the connection broke on the way, the first try may have been the one that wrote.
        let lost = written.again && written.rows.is_empty();
        let done = lost && self.finds(&statements.has_version, &[id, new]).await? || written.found_its_row()?;
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// What a put without a lifetime does: the same condition, and nothing is left.
    async fn remove(&self, key: StoreKey, mode: PutMode) -> Result<bool, Error> {
        let (statements, now, id) = (&self.0.statements, self.now(), Value::from(&key));
        match mode {
            PutMode::Create => Ok(!self.finds(&statements.get, &[now, id]).await?),
            PutMode::Replace(old) => {
                self.rows(&statements.delete_version, &[now, id, old.into()]).await?.found_its_row()
            }
            PutMode::Always => self.finds(&statements.delete, &[now, id]).await.map(|_| true),
        }
    }

    async fn move_deadline(&self, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let lifetime = millis(lifetime.as_millis());
        let values = [self.now(), (&key).into(), version.into(), lifetime.into()];
        self.rows(&self.0.statements.touch, &values).await?.found_its_row()
    }

    /// Whether there is a row, or was one that a delete removed.
    async fn finds(&self, statement: &str, values: &[Value<'_>]) -> Result<bool, Error> {
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

    async fn free(&self, budget: usize) -> Result<SweepReport, Error> {
        let statements = &self.0.statements;
        let values = [self.now(), statements.turn.into(), limit(budget)];
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
        Reply::new(async move { self.finds(&self.0.statements.delete, &[self.now(), (&key).into()]).await })
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move { self.keys(&self.0.statements.keys_with_tag, &[self.now(), (&tag).into()]).await })
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

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresStore({})", self.0.description)
    }
}

/// At most the year 9999, also as a lifetime: far below where the sign begins.
fn millis(millis: u128) -> i64 {
    i64::try_from(millis).map_or(NEVER, |millis| millis.min(NEVER))
}

fn limit(budget: usize) -> Value<'static> {
    i64::try_from(budget).unwrap_or(i64::MAX).into()
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis.cast_unsigned())
}

const NEVER: i64 = Time::MAX.as_millis().cast_signed();
