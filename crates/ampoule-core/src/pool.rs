//! Options for a store's connections.

use std::time::Duration;

use crate::non_exhaustive::NonExhaustive;

/// Options for a store's connections to a server.
///
/// End a literal with `..PoolOptions::default()`: a later version may add options.
///
/// ```
/// use std::time::Duration;
/// use ampoule_core::PoolOptions;
///
/// let pool = PoolOptions { max_connections: 4, connect_timeout: Duration::from_secs(1), ..PoolOptions::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The most connections that are open at once, with memcached to each server: 16 by default. On Redis all requests
    /// share one connection, and this bounds the connections that wait for replicas.
    pub max_connections: usize,
    /// How long it may take to connect, including the handshake and, with Sentinel, the search for the master: 2
    /// seconds by default.
    pub connect_timeout: Duration,
    /// How long a request may wait, in addition, while all connections are in use: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a command or statement may take: 3 seconds by default. PostgreSQL and MariaDB also end it on the server
    /// then.
    pub command_timeout: Duration,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
