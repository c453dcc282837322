//! Opens a store by URL.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Durability, Error, MemoryBounds, MemoryStore, PoolOptions, Store, SystemClock, TlsFiles};

use super::kind::Engine;
#[cfg(any(feature = "file", feature = "sqlite-unbundled"))]
use super::path::FileUrl;

/// The options of a store that is opened by URL. Each engine uses those that apply to it.
///
/// ```
/// use ampoule::MemoryBounds;
/// use ampoule::store::{self, StoreOptions};
///
/// let bounds = MemoryBounds { entries: 10_000, ..MemoryBounds::default() };
/// let store = store::open("memory:", &StoreOptions { bounds, ..StoreOptions::default() })?;
/// # Ok::<(), ampoule::Error>(())
/// ```
///
/// End a literal with `..StoreOptions::default()`: a later version may add options.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The table, in databases: `ampoule_sessions` by default.
    pub table: String,
    /// The table's schema, in PostgreSQL; by default the first of the search path.
    pub schema: Option<String>,
    /// Whether a missing table is created: `true` by default.
    pub migrate: bool,
    /// Whether PostgreSQL connections use named prepared statements. By default, `None`, those that do not lead to a
    /// pooler use them.
    pub prepared_statements: Option<bool>,
    /// The certificates of TLS, in PostgreSQL, MySQL and Redis.
    pub tls: TlsFiles,
    /// The prefix of keys, in Redis and memcached: `ampoule:` by default.
    pub prefix: String,
    /// How many replicas must have received a write, in Redis: 0 by default.
    pub replicas: usize,
    /// What a save survives, in files and SQLite; [`Durability::Process`] by default.
    pub durability: Durability,
    /// The bounds of the memory store.
    pub bounds: MemoryBounds,
    /// How a store with a server uses its connections.
    pub pool: PoolOptions,
    /// The clock. By default the server's own, for a store with a server, and else the system's; another clock is for
    /// tests.
    pub clock: Option<Arc<dyn Clock>>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            table: "ampoule_sessions".to_owned(),
            schema: None,
            migrate: true,
            prepared_statements: None,
            tls: TlsFiles::default(),
            prefix: "ampoule:".to_owned(),
            replicas: 0,
            durability: Durability::default(),
            bounds: MemoryBounds::default(),
            pool: PoolOptions::default(),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

/// Opens the store at a URL: see the table of [the module](crate::store). Files are opened at once, but servers are
/// connected to at their first use, so an application can start while they are down.
///
/// ```
/// use ampoule::store::{StoreOptions, open};
///
/// # fn main() -> Result<(), ampoule::Error> {
/// let store = open("memory:", &StoreOptions::default())?;
/// assert!(open("mongodb://host", &StoreOptions::default()).is_err());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) for an invalid URL, or an engine that this program was built
/// without; the message names the cargo feature. Errors of opening a file.
pub fn open(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    match Engine::of_url(url)? {
        Engine::Memory => Ok(Arc::new(MemoryStore::new(options.bounds, clock_of(options)))),
        #[cfg(feature = "file")]
        Engine::File => file(url, options),
        #[cfg(feature = "sqlite-unbundled")]
        Engine::Sqlite => sqlite(url, options),
        #[cfg(feature = "postgres")]
        Engine::Postgres => postgres(url, options),
        #[cfg(feature = "mysql")]
        Engine::MySql => mysql(url, options),
        #[cfg(feature = "redis")]
        Engine::Redis => redis(url, options),
        #[cfg(feature = "memcached")]
        Engine::Memcached => memcached(url, options),
        #[allow(unreachable_patterns, reason = "with all features every engine is there")]
        missing => Err(missing.missing()),
    }
}

/// The clock of a store that has no server.
fn clock_of(options: &StoreOptions) -> Arc<dyn Clock> {
    options.clock.clone().unwrap_or_else(|| Arc::new(SystemClock))
}

#[cfg(feature = "file")]
fn file(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_file::{FileOptions, FileStore};
    let (durability, clock) = (options.durability, clock_of(options));
    let store = FileStore::open(of_files(url)?.path, FileOptions { durability, clock, ..FileOptions::default() })?;
    Ok(Arc::new(store))
}

#[cfg(feature = "sqlite-unbundled")]
fn sqlite(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_sqlite::{SqliteOptions, SqliteStore};
    let (table, durability, clock) = (options.table.clone(), options.durability, clock_of(options));
    let FileUrl { path, lock_wait } = of_files(url)?;
    let defaults = SqliteOptions::default();
    let lock_wait = lock_wait.unwrap_or(defaults.lock_wait);
    let options = SqliteOptions { table, durability, clock, lock_wait, ..defaults };
    Ok(Arc::new(SqliteStore::open(path, options)?))
}

#[cfg(any(feature = "file", feature = "sqlite-unbundled"))]
fn of_files(url: &str) -> Result<FileUrl, Error> {
    FileUrl::parse(url)?.ok_or_else(|| Error::new(ampoule_core::ErrorKind::Config, "expected a URL with a path"))
}

#[cfg(feature = "postgres")]
fn postgres(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_postgres::{PostgresOptions, PostgresStore};
    let StoreOptions { table, schema, migrate, prepared_statements, tls, pool, clock, .. } = options.clone();
    let defaults = PostgresOptions::default();
    let options = PostgresOptions { table, schema, migrate, prepared_statements, tls, pool, clock, ..defaults };
    Ok(Arc::new(PostgresStore::connect(url, options)?))
}

#[cfg(feature = "mysql")]
fn mysql(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_mysql::{MySqlOptions, MySqlStore};
    let StoreOptions { table, migrate, tls, pool, clock, .. } = options.clone();
    let options = MySqlOptions { table, migrate, tls, pool, clock, ..MySqlOptions::default() };
    Ok(Arc::new(MySqlStore::connect(url, options)?))
}

#[cfg(feature = "memcached")]
fn memcached(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
    let StoreOptions { prefix, pool, clock, .. } = options.clone();
    Ok(Arc::new(MemcachedStore::connect(url, MemcachedOptions { prefix, pool, clock, ..MemcachedOptions::default() })?))
}

#[cfg(feature = "redis")]
fn redis(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, Error> {
    use ampoule_store_redis::{RedisOptions, RedisStore};
    let StoreOptions { prefix, replicas, tls, pool, clock, .. } = options.clone();
    let options = RedisOptions { prefix, replicas, tls, pool, clock, ..RedisOptions::default() };
    Ok(Arc::new(RedisStore::connect(url, options)?))
}
