//! The session and the cache that an app's own options put around it, as `make_app` of a Pylons project did.

use crate::app::{App, Filter};
use crate::conf::Conf;
use crate::error::Faults;
use crate::family::{CACHE, Family, SESSION, is_ours};
use crate::python;
use crate::setting::Setting;
use crate::{cache, session};

/// Wraps the app in a session if its section has `beaker.session.…` options, and in a cache if it has `beaker.cache.…`
/// options, unless its factory used them itself.
pub(crate) fn wrap(conf: &Conf, made: Result<App, Faults>) -> Result<App, Faults> {
    let mut faults = Faults::default();
    let mut app = faults.keep(made);
    let has = |family: &Family| conf.local.iter().any(|local| (family.option_of)(&local.name).is_some());
    let has_own = !conf.artifacts.borrow().sessions.is_empty();
    let session = (has(&SESSION) && !has_own).then(|| faults.keep(session::app_filter(conf)));
    let has_own = !conf.artifacts.borrow().caches.is_empty();
    let cache = (has(&CACHE) && !has_own).then(|| faults.keep(cache::app_filter(conf)));
    let filters: [Option<Filter>; 2] = [session.flatten(), cache.flatten()];
    for filter in filters.into_iter().flatten() {
        app = app.map(filter);
    }
    warn_about_ignored(conf);
    app.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// Warns about options of Python frameworks, which have no effect here.
fn warn_about_ignored(conf: &Conf) {
    let unread = |local: &&Setting| !conf.artifacts.borrow().read.contains(&local.name);
    let is_ours = conf.local.iter().any(|local| is_ours(&local.name));
    let folder = conf.local.iter().find(|local| local.name == "cache_dir").filter(unread).filter(|_| !is_ours);
    if let Some(folder) = folder {
        conf.warn(
            folder.fault("ignored: this section has no beaker.session. or beaker.cache. option that would use it"),
        );
    }
    let foreign: Vec<&Setting> =
        conf.local.iter().filter(|local| python::is_option(&local.name)).filter(unread).collect();
    if let Some(first) = foreign.first() {
        let names: Vec<&str> = foreign.iter().map(|local| local.name.as_str()).collect();
        conf.warn(
            first
                .location
                .fault(&names.join(", "), "ignored: options of a Python framework, which this app does not use"),
        );
    }
}
