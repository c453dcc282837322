//! The factories that an ini file may name.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum_core::body::Body;
use http::{Request, Response};
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::conf::Conf;
use crate::error::{Faults, did_you_mean};
use crate::session;

/// An app: any service of requests that cannot fail. axum's `Router` is one.
pub type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What a filter does to an app.
pub type Filter = Box<dyn FnOnce(App) -> App>;

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

type Factory<T> = Box<dyn Fn(&Conf) -> Result<T, Faults> + Send + Sync>;

/// Makes an [`App`] of a service.
pub fn app<S>(service: S) -> App
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    BoxCloneSyncService::new(service)
}

/// The factories, by the names that stand behind `use =`: `egg:Dist#entry`, or `egg:Dist` for `egg:Dist#main`.
///
/// The program fills it, since a compiled one cannot look for eggs. `egg:Paste#urlmap` and `egg:Paste#http` are always
/// there, under these names and as `egg:ampoule#urlmap` and `egg:ampoule#http`; so is the session filter, as
/// `egg:Beaker#beaker_session` and `egg:ampoule#session`.
pub struct Registry {
    apps: BTreeMap<String, Factory<App>>,
    filters: BTreeMap<String, Factory<Filter>>,
}

impl Registry {
    /// A registry with what is always there.
    pub fn new() -> Registry {
        let mut registry = Registry { apps: BTreeMap::new(), filters: BTreeMap::new() };
        registry.filter("egg:Beaker#beaker_session", session::filter);
        registry.filter("egg:ampoule#session", session::filter);
        registry
    }

    /// Whether there is an app of this name.
    pub fn has_app(&self, name: &str) -> bool {
        self.apps.contains_key(&full_name(name))
    }

    /// Adds the factory of an app; in place of the one of that name, if there is one.
    pub fn app(&mut self, name: &str, factory: impl Fn(&Conf) -> Result<App, Faults> + Send + Sync + 'static) {
        self.apps.insert(full_name(name), Box::new(factory));
    }

    /// Adds the factory of a filter; in place of the one of that name, if there is one.
    pub fn filter(&mut self, name: &str, factory: impl Fn(&Conf) -> Result<Filter, Faults> + Send + Sync + 'static) {
        self.filters.insert(full_name(name), Box::new(factory));
    }

    pub(crate) fn make_app(&self, name: &str, conf: &Conf) -> Result<App, Faults> {
        make(&self.apps, "app", name, conf)
    }

    pub(crate) fn make_filter(&self, name: &str, conf: &Conf) -> Result<Filter, Faults> {
        make(&self.filters, "filter", name, conf)
    }
}

fn make<T>(factories: &BTreeMap<String, Factory<T>>, kind: &str, name: &str, conf: &Conf) -> Result<T, Faults> {
    let full = full_name(name);
    let Some(factory) = factories.get(&full) else {
        return Err(conf.fault("use", unknown(kind, &full, factories.keys().map(String::as_str))).into());
    };
    factory(conf)
}

pub(crate) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let hint = did_you_mean(name, known.clone());
    let known: Vec<&str> = known.collect();
    let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("this program has no {kind} `{name}`{hint} (it has {list})")
}

/// `egg:Dist` means `egg:Dist#main`.
pub(crate) fn full_name(name: &str) -> String {
    if name.contains('#') { name.to_owned() } else { format!("{name}#main") }
}
