//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::Clock;
use ampoule_core::TlsFiles;
use ampoule_core::internal::NonExhaustive;

/// How a [`PostgresStore`](crate::PostgresStore) works.
///
/// End a literal with `..PostgresOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The table: letters, digits and underscores. `ampoule_sessions` by default.
    pub table: String,
    /// The schema of the table; by default the first of the role's search path.
    pub schema: Option<String>,
    /// Whether the table is made when it is found missing: `true` by default. With `false` only
    /// [`migrate`](crate::PostgresStore::migrate) makes it.
    pub migrate: bool,
    /// Whether the server keeps prepared statements under names, which saves it the planning: `None` by default, for those
    /// connections that lead to the server itself. Behind a pooler such as PgBouncer, where a name may mean the statement
    /// of another process, statements have none. The URL's `prepared_statements` counts more.
    pub prepared_statements: Option<bool>,
    /// What TLS trusts and shows. The URL's `sslrootcert`, `sslcert` and `sslkey` count more. Not for a pool of your own.
    pub tls: TlsFiles,
    /// How many connections there are at most: 16 by default. Not for a pool of your own.
    pub max_connections: usize,
    /// How long making a connection may take: 2 seconds by default. Not for a pool of your own.
    pub connect_timeout: Duration,
    /// How long to wait while all connections are in use: 2 seconds by default. Not for a pool of your own.
    pub pool_timeout: Duration,
    /// How long a statement may take: 3 seconds by default. It is then cancelled.
    pub command_timeout: Duration,
    /// A clock that decides instead of the server's, for tests. `None` by default.
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
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
