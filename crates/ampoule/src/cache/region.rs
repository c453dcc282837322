//! How a function that is cached finds its cache.

use ampoule_cache::{Cache, CacheManager, Cacheable};

/// The cache of a function. A function has no way to tell that its region is missing, so it is told of in the log, and
/// the function is called through as if there were no cache.
pub fn region<T: Cacheable>(manager: &CacheManager, region: Option<&str>, namespace: &str) -> Option<Cache<T>> {
    let Some(region) = region else { return Some(manager.cache(namespace)) };
    manager.cache_in(region, namespace).inspect_err(|error| tracing::error!(%error, namespace, "not cached")).ok()
}
