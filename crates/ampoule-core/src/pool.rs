//! How a store uses its connections.

use std::time::Duration;

use crate::non_exhaustive::NonExhaustive;

/// How a store uses its connections to a server.
///
/// End a literal with `..PoolOptions::default()`: a later version may have more of them.
///
/// ```
/// use std::time::Duration;
/// use ampoule_core::PoolOptions;
///
/// let pool = PoolOptions { max_connections: 4, connect_timeout: Duration::from_secs(1), ..PoolOptions::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// How many connections there are at most, with memcached to each server: 16 by default. With Redis all requests share
    /// one connection, and this bounds those that wait for replicas.
    pub max_connections: usize,
    /// How long making a connection may take, its handshake and with Sentinel the search for the master included: 2 seconds
    /// by default.
    pub connect_timeout: Duration,
    /// How long to wait, besides, while all connections are in use: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a command or statement may take: 3 seconds by default. PostgreSQL and MariaDB are told to end it then.
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
