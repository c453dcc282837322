//! How the store works.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions};

/// How a [`MemcachedStore`](crate::MemcachedStore) works.
///
/// End a literal with `..MemcachedOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct MemcachedOptions {
    /// What the names of all keys start with: `ampoule:` by default. At most 100 characters of ASCII without spaces.
    /// Applications on one server need different ones.
    pub prefix: String,
    /// How the store uses its connections to each server.
    pub pool: PoolOptions,
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
            pool: PoolOptions::default(),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
