//! The options of the store.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions, TlsFiles};

/// Options for a [`PostgresStore`](crate::PostgresStore).
///
/// End a literal with `..PostgresOptions::default()`: a later version may add options.
///
/// ```
/// use ampoule_core::PoolOptions;
/// use ampoule_store_postgres::PostgresOptions;
///
/// let options = PostgresOptions {
///     schema: Some("web".to_owned()),
///     pool: PoolOptions { max_connections: 4, ..PoolOptions::default() },
///     ..PostgresOptions::default()
/// };
/// ```
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The table's name: 1 to 50 ASCII letters, digits and underscores. `ampoule_sessions` by default.
    pub table: String,
    /// The table's schema, named by the same rule. `None`, the default, is the first schema of the role's search path.
    pub schema: Option<String>,
    /// Whether the store creates its table when it first finds it missing: `true` by default. With `false` only
    /// [`migrate`](crate::PostgresStore::migrate) creates it.
    pub migrate: bool,
    /// Whether prepared statements have names, so that the server plans each of them once per connection. Behind a
    /// pooler such as PgBouncer a name may belong to another client's statement, so there statements must be unnamed.
    /// `None`, the default, uses names unless it detects a pooler. The URL's `prepared_statements` takes precedence.
    pub prepared_statements: Option<bool>,
    /// The CAs that TLS trusts, and the client's own certificate. The URL's `sslrootcert`, `sslcert` and `sslkey` take
    /// precedence. Not used with the application's own pool.
    pub tls: TlsFiles,
    /// The number of connections, and time limits. With the application's own pool only `command_timeout` is used.
    pub pool: PoolOptions,
    /// The clock that decides until when a value is live, for tests. `None`, the default, leaves the decision to the
    /// server's clock.
    pub clock: Option<Arc<dyn Clock>>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            table: "ampoule_sessions".to_owned(),
            schema: None,
            migrate: true,
            prepared_statements: None,
            tls: TlsFiles::default(),
            pool: PoolOptions::default(),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
