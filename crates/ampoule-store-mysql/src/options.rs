//! The options of the store.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions, TlsFiles};

/// Options for a [`MySqlStore`](crate::MySqlStore).
///
/// End a literal with `..MySqlOptions::default()`: a later version may add options.
///
/// ```
/// use ampoule_core::PoolOptions;
/// use ampoule_store_mysql::MySqlOptions;
///
/// let options = MySqlOptions {
///     table: "web.sessions".to_owned(),
///     pool: PoolOptions { max_connections: 4, ..PoolOptions::default() },
///     ..MySqlOptions::default()
/// };
/// ```
#[derive(Clone, Debug)]
pub struct MySqlOptions {
    /// The table's name: 1 to 64 ASCII letters, digits and underscores. `ampoule_sessions` by default. If the table is
    /// not in the URL's database, its own precedes it: `other.sessions`.
    pub table: String,
    /// Whether the store creates its table when it first finds it missing: `true` by default. With `false` only
    /// [`migrate`](crate::MySqlStore::migrate) creates it.
    pub migrate: bool,
    /// The CAs that TLS trusts, and the client's own certificate. The URL's `ssl-ca`, `ssl-cert` and `ssl-key` take
    /// precedence. Not used with the application's own pool.
    pub tls: TlsFiles,
    /// The number of connections, and time limits. With the application's own pool, `max_connections` does not limit
    /// the pool.
    pub pool: PoolOptions,
    /// The clock that decides until when a value is live, for tests. `None`, the default, leaves the decision to the
    /// server's clock.
    pub clock: Option<Arc<dyn Clock>>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for MySqlOptions {
    fn default() -> MySqlOptions {
        MySqlOptions {
            table: "ampoule_sessions".to_owned(),
            migrate: true,
            tls: TlsFiles::default(),
            pool: PoolOptions::default(),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
