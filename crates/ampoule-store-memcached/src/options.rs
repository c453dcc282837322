//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::Clock;
use ampoule_core::internal::NonExhaustive;

/// How a [`MemcachedStore`](crate::MemcachedStore) works.
///
/// End a literal with `..MemcachedOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct MemcachedOptions {
    /// What the names of all keys start with: `ampoule:` by default. At most 100 characters of ASCII without spaces.
    /// Applications on one server need different ones.
    pub prefix: String,
    /// How many connections there are to each server at most: 16 by default.
    pub max_connections: usize,
    /// How long making a connection may take, its handshake included: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long to wait for a connection that others use: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a command may take, and each line of a list of keys: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time, for tests: a value is then live until this clock reaches the deadline in it. `None`, the
    /// default, leaves that to the servers' clocks.
    pub clock: Option<Arc<dyn Clock>>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for MemcachedOptions {
    fn default() -> MemcachedOptions {
        MemcachedOptions {
            prefix: "ampoule:".to_owned(),
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
