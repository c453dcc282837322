//! How the store works.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions, TlsFiles};

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
    /// How the store uses its connections. For a pool of your own only `command_timeout` counts.
    pub pool: PoolOptions,
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
            pool: PoolOptions::default(),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
