//! The filters that the options of an app put around it, as a Pylons project's own `make_app` did.

use crate::app::{App, Filter};
use crate::conf::Conf;
use crate::error::Faults;
use crate::family::{CACHE, Family, SESSION, is_ours};
use crate::python;
use crate::setting::Setting;
use crate::{cache, session};

/// The app under a session if its section has `beaker.session.…`, and under a cache if it has `beaker.cache.…`, unless its
/// factory made its own of them.
pub(crate) fn around(conf: &Conf, made: Result<App, Faults>) -> Result<App, Faults> {
    let mut faults = Faults::default();
    let mut app = faults.keep(made);
    let has = |family: &Family| conf.local.iter().any(|local| (family.option_of)(&local.name).is_some());
    let has_own = !conf.made.borrow().sessions.is_empty();
    let session = (has(&SESSION) && !has_own).then(|| faults.keep(session::around(conf)));
    let has_own = !conf.made.borrow().caches.is_empty();
    let cache = (has(&CACHE) && !has_own).then(|| faults.keep(cache::around(conf)));
    let filters: [Option<Filter>; 2] = [session.flatten(), cache.flatten()];
    for filter in filters.into_iter().flatten() {
        app = app.map(filter);
    }
    warn_of_the_rest(conf);
    app.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// Says which options of Python's frameworks mean nothing here.
fn warn_of_the_rest(conf: &Conf) {
    let unread = |local: &&Setting| !conf.made.borrow().read.contains(&local.name);
    let is_ours = conf.local.iter().any(|local| is_ours(&local.name));
    let folder = conf.local.iter().find(|local| local.name == "cache_dir").filter(unread).filter(|_| !is_ours);
    if let Some(folder) = folder {
        conf.warn(
            folder.fault("passed over: this section has no beaker.session. or beaker.cache. that would lie there"),
        );
    }
    let foreign: Vec<&Setting> =
        conf.local.iter().filter(|local| python::is_option(&local.name)).filter(unread).collect();
    if let Some(first) = foreign.first() {
        let names: Vec<&str> = foreign.iter().map(|local| local.name.as_str()).collect();
        conf.warn(
            first.place.fault(&names.join(", "), "passed over: of a framework in Python; this app has no use for it"),
        );
    }
}
