//! The cache as a filter of an ini file.

use ampoule::cache::{CacheLayer, CacheManager, CacheSettings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::session::{fault_of, without_prefix};

/// The caches that a section describes: of its options and the global ones, those of [`CacheSettings`].
///
/// It notes for the operator where the values are kept, and is swept as long as the deployment is served.
///
/// # Errors
/// The faults of all options that are wrong, and of a store that cannot be opened.
pub fn cache_manager(conf: &Conf) -> Result<CacheManager, Faults> {
    let settings = CacheSettings::parse(conf.merged()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| fault_of(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    let manager = settings.manager().map_err(|error| conf.missing("cache", error.report()))?;
    conf.note(format!("cache: {}", manager.describe()));
    conf.caches.borrow_mut().push(manager.clone());
    Ok(manager)
}

/// The factory of `egg:Beaker#beaker_cache`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, "cache"));
    let manager = faults.keep(cache_manager(conf));
    manager
        .filter(|_| faults.0.is_empty())
        .map_or(Err(faults), |manager| Ok(Box::new(move |inner| app(CacheLayer::new(manager).layer(inner)))))
}
