//! The cache as a filter of an ini file.

use ampoule::cache::{CacheLayer, CacheManager, CacheSettings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::family::CACHE;
use crate::raw_options::RawOptions;
use crate::session::{PLACE, without_prefix};

/// The caches that a section describes: of its options and the global ones, those of [`CacheSettings`].
///
/// It notes for the operator where the values are kept, and is swept as long as the deployment is served.
///
/// # Errors
/// The faults of all options that are wrong, and of a store that cannot be opened.
pub fn cache_manager(conf: &Conf) -> Result<CacheManager, Faults> {
    let raw = RawOptions::of(conf, &CACHE);
    let settings = CacheSettings::parse(raw.pairs()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| raw.fault(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    let unable = |error: ampoule::Error| raw.fault_of_first(conf, &CACHE, &PLACE, &error.report());
    let manager = settings.manager().map_err(unable)?;
    conf.note(format!("cache: {}", manager.describe()));
    let mut made = conf.made.borrow_mut();
    made.origins.push(format!("cache: {}", raw.origins(&CACHE)));
    made.caches.push(manager.clone());
    Ok(manager)
}

/// The factory of `egg:Beaker#beaker_cache`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, &CACHE));
    let filter = faults.keep(around(conf));
    filter.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// The filter of a section that may hold other options too.
pub(crate) fn around(conf: &Conf) -> Result<Filter, Faults> {
    let manager = cache_manager(conf)?;
    Ok(Box::new(move |inner| app(CacheLayer::new(manager).layer(inner))))
}
