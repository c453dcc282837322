//! How the store works.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions, TlsFiles};

/// How a [`MySqlStore`](crate::MySqlStore) works.
///
/// End a literal with `..MySqlOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct MySqlOptions {
    /// The table: letters, digits and underscores, and a database before it if it is another than the URL's:
    /// `other.sessions`. `ampoule_sessions` by default.
    pub table: String,
    /// Whether the table is made when it is found missing: `true` by default. With `false` only
    /// [`migrate`](crate::MySqlStore::migrate) makes it.
    pub migrate: bool,
    /// What TLS trusts and shows. The URL's `ssl-ca`, `ssl-cert` and `ssl-key` count more. Not for a pool of your own.
    pub tls: TlsFiles,
    /// How the store uses its connections. For a pool of your own `max_connections` does not count.
    pub pool: PoolOptions,
    /// A clock that decides instead of the server's, for tests. `None` by default.
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
