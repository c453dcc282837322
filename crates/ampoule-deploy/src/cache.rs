//! The cache as a filter of an ini file.

use ampoule::cache::{CacheLayer, CacheManager, CacheSettings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::family::CACHE;
use crate::raw_options::RawOptions;
use crate::session::{STORE_OPTIONS, without_prefix};

/// Opens the cache that a section's options and the global ones describe, as in [`CacheSettings`].
///
/// Adds a note for the operator: where the values are stored. The program that serves the deployment sweeps the cache.
///
/// ```
/// use ampoule_deploy::{Registry, app, cache_manager};
/// use axum::{Extension, Router};
///
/// let mut registry = Registry::new();
/// registry.app("egg:my_project", |conf| {
///     let caches = cache_manager(conf)?;
///     Ok(app(Router::new().layer(Extension(caches))))
/// });
/// ```
///
/// # Errors
/// The faults of all invalid options, or that of a store that cannot be opened.
pub fn cache_manager(conf: &Conf) -> Result<CacheManager, Faults> {
    let raw = RawOptions::of(conf, &CACHE);
    let settings = CacheSettings::parse(raw.pairs()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| raw.fault(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    let unable = |error: ampoule::Error| raw.fault_of_first(conf, &CACHE, &STORE_OPTIONS, &error.report());
    let manager = settings.manager().map_err(unable)?;
    conf.note(format!("cache: {}", manager.describe()));
    let mut made = conf.artifacts.borrow_mut();
    made.origins.push(format!("cache: {}", raw.origins(&CACHE)));
    made.caches.push(manager.clone());
    Ok(manager)
}

/// The factory of `egg:Beaker#beaker_cache`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, &CACHE));
    let filter = faults.keep(app_filter(conf));
    filter.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// The filter around an app whose section has cache options among its own.
pub(crate) fn app_filter(conf: &Conf) -> Result<Filter, Faults> {
    let manager = cache_manager(conf)?;
    Ok(Box::new(move |inner| app(CacheLayer::new(manager).layer(inner))))
}
