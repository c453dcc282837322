//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::Clock;
use ampoule_core::TlsFiles;
use ampoule_core::internal::NonExhaustive;

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
    /// How many connections there are at most: 16 by default. Not for a pool of your own.
    pub max_connections: usize,
    /// How long making a connection may take: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long to wait, besides, while all connections are in use: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a statement may take: 3 seconds by default. Connections of the store's own pool have the server end it then.
    pub command_timeout: Duration,
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
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
