//! The factories that an ini file may refer to.

use std::collections::BTreeMap;

use crate::app::{App, Apps, Filter};
use crate::conf::Conf;
use crate::error::{Fault, Faults, did_you_mean, nearest_first};
use crate::server::{self, Server};
use crate::setting::Setting;
use crate::{cache, cascade, noop, prefix, python, session, urlmap};

type Factory<T> = Box<dyn Fn(&Conf) -> Result<T, Faults> + Send + Sync>;
type AppFactory = Box<dyn Fn(&Conf, &mut Apps<'_>) -> Result<App, Faults> + Send + Sync>;

/// The factories by name, as in `use = egg:Dist#entry`; `egg:Dist` is `egg:Dist#main`.
///
/// Paste finds factories among the installed Python packages; a compiled program registers its own here. Built in are:
///
/// | name | also | what it makes |
/// |---|---|---|
/// | `egg:Paste#urlmap` | `egg:ampoule#urlmap`, `egg:rutter#urlmap` | apps under paths and hosts |
/// | `egg:Paste#cascade` | `egg:ampoule#cascade` | apps that are tried in order until one does not answer 404 |
/// | `egg:Paste#http` | `egg:ampoule#http`; the servers of waitress, gunicorn, CherryPy, gearbox and Pyramid | where to listen |
/// | `egg:PasteDeploy#prefix` | | the path, scheme and port at which a proxy serves the app |
/// | `egg:Beaker#beaker_session` | `egg:ampoule#session` | the session filter |
/// | `egg:Beaker#beaker_cache` | `egg:ampoule#cache` | the cache filter |
/// | `egg:Paste#static` | `egg:ampoule#static` | the files of a folder (feature `static`) |
/// | `egg:Paste#translogger` | `#httpexceptions`, `#gzip`, `#error_catcher` and similar filters | nothing, with a warning |
///
/// Adding a factory under an existing name replaces it.
///
/// ```
/// use ampoule_deploy::{Registry, app};
/// use axum::Router;
///
/// let mut registry = Registry::new();
/// registry.app("egg:hello", |_| Ok(app(Router::new())));
/// assert!(registry.has_app("egg:hello#main"));
/// ```
pub struct Registry {
    /// Apps and composites: the factory decides which a section is, not its prefix.
    apps: BTreeMap<String, AppFactory>,
    filters: BTreeMap<String, Factory<Filter>>,
    servers: BTreeMap<String, Factory<Server>>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl Registry {
    /// Creates a registry with the built-in factories.
    pub fn new() -> Registry {
        let mut registry = Registry { apps: BTreeMap::new(), filters: BTreeMap::new(), servers: BTreeMap::new() };
        for dist in ["Paste", "ampoule"] {
            registry.composite(&format!("egg:{dist}#urlmap"), urlmap::factory);
            registry.composite(&format!("egg:{dist}#cascade"), cascade::factory);
            #[cfg(feature = "static")]
            registry.app(&format!("egg:{dist}#static"), crate::static_files::factory);
        }
        registry.composite("egg:rutter#urlmap", urlmap::factory);
        for (name, host, port) in server::PYTHON_SERVERS {
            registry.server(name, move |conf| server::make(conf, host, port));
        }
        for (name, reason) in python::IGNORED_FILTERS {
            registry.filter(name, noop::factory(name, reason));
        }
        registry.filter("egg:PasteDeploy#prefix", prefix::factory);
        registry.filter("egg:Beaker#beaker_session", session::filter);
        registry.filter("egg:ampoule#session", session::filter);
        registry.filter("egg:Beaker#beaker_cache", cache::filter);
        registry.filter("egg:ampoule#cache", cache::filter);
        registry
    }

    /// Returns whether there is an app or composite of this name.
    pub fn has_app(&self, name: &str) -> bool {
        self.apps.contains_key(&full_name(name))
    }

    /// Adds the factory of an app.
    pub fn app(&mut self, name: &str, factory: impl Fn(&Conf) -> Result<App, Faults> + Send + Sync + 'static) {
        self.apps.insert(full_name(name), Box::new(move |conf, _| factory(conf)));
    }

    /// Adds the factory of a composite: an app that is made of other apps.
    ///
    /// ```
    /// use ampoule_deploy::{Faults, Registry, app};
    /// use axum::Router;
    ///
    /// let mut registry = Registry::new();
    /// // [composite:main]
    /// // use = egg:my_project#maintenance
    /// // site = home
    /// // closed = sorry
    /// // is_closed = no
    /// registry.composite("egg:my_project#maintenance", |conf, apps| {
    ///     let mut faults = Faults(conf.unknown(&["site", "closed", "is_closed"]));
    ///     let (site, closed) = (faults.keep(apps.app("site")), faults.keep(apps.app("closed")));
    ///     let is_closed = faults.keep(conf.bool("is_closed", false));
    ///     let chosen = if is_closed == Some(true) { closed } else { site };
    ///     chosen.filter(|_| faults.0.is_empty()).ok_or(faults)
    /// });
    /// ```
    pub fn composite(
        &mut self,
        name: &str,
        factory: impl Fn(&Conf, &mut Apps<'_>) -> Result<App, Faults> + Send + Sync + 'static,
    ) {
        self.apps.insert(full_name(name), Box::new(factory));
    }

    /// Adds the factory of a filter.
    ///
    /// ```
    /// use ampoule_deploy::{Registry, app};
    /// use http::Request;
    /// use tower::util::MapRequest;
    ///
    /// let mut registry = Registry::new();
    /// registry.filter("egg:my_project#tag", |_| {
    ///     Ok(Box::new(|inner| {
    ///         app(MapRequest::new(inner, |mut request: Request<_>| {
    ///             request.extensions_mut().insert("tag");
    ///             request
    ///         }))
    ///     }))
    /// });
    /// ```
    pub fn filter(&mut self, name: &str, factory: impl Fn(&Conf) -> Result<Filter, Faults> + Send + Sync + 'static) {
        self.filters.insert(full_name(name), Box::new(factory));
    }

    /// Adds the factory of a server, which returns the addresses to listen at. It serves files that name another server
    /// without changing them.
    ///
    /// ```
    /// use ampoule_deploy::{Registry, Server};
    ///
    /// let mut registry = Registry::new();
    /// registry.server("egg:my_project#http", |conf| Ok(Server::new(conf.get("address").unwrap_or("127.0.0.1"), 8080)));
    /// ```
    pub fn server(&mut self, name: &str, factory: impl Fn(&Conf) -> Result<Server, Faults> + Send + Sync + 'static) {
        self.servers.insert(full_name(name), Box::new(factory));
    }

    pub(crate) fn make_app(&self, factory: &Setting, conf: &Conf, apps: &mut Apps<'_>) -> Result<App, Faults> {
        named(&self.apps, "app", factory)?(conf, apps)
    }

    pub(crate) fn make_filter(&self, factory: &Setting, conf: &Conf) -> Result<Filter, Faults> {
        named(&self.filters, "filter", factory)?(conf)
    }

    pub(crate) fn make_server(&self, factory: &Setting, conf: &Conf) -> Result<Server, Faults> {
        named(&self.servers, "server", factory)?(conf)
    }
}

fn named<'a, F>(factories: &'a BTreeMap<String, F>, kind: &str, factory: &Setting) -> Result<&'a F, Fault> {
    let name = full_name(&factory.value);
    factories.get(&name).ok_or_else(|| {
        let known = || factories.keys().map(String::as_str);
        let hint = did_you_mean(&name, known());
        let list = nearest_first(&name, known().filter(|name| !python::is_filter(name))).join(", ");
        let list = if list.is_empty() { "none" } else { &list };
        factory.fault(format!("this program has no {kind} `{name}`{hint} (it has {list})"))
    })
}

/// Adds `#main` to a name without an entry.
fn full_name(name: &str) -> String {
    if name.contains('#') { name.to_owned() } else { format!("{name}#main") }
}
