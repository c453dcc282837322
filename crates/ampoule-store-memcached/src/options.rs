//! The options of the store.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, PoolOptions};

/// Options for a [`MemcachedStore`](crate::MemcachedStore).
///
/// ```
/// use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
///
/// let options = MemcachedOptions { prefix: "shop:".into(), ..MemcachedOptions::default() };
/// let store = MemcachedStore::connect("memcached://cache1.example", options)?;
/// # Ok::<(), ampoule_core::Error>(())
/// ```
///
/// End a literal with `..MemcachedOptions::default()`: a later version may add options.
#[derive(Clone, Debug)]
pub struct MemcachedOptions {
    /// The prefix of all item names: `ampoule:` by default. At most 100 printable ASCII characters without spaces.
    /// Applications that share a server need different prefixes.
    pub prefix: String,
    /// The number of connections to each server, and time limits.
    pub pool: PoolOptions,
    /// The clock that decides until when a value is live, for tests. `None`, the default, leaves the decision to the
    /// servers' clocks.
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
