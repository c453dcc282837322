//! The parts of a deployment: apps, and filters around them.

use std::convert::Infallible;

use axum_core::body::Body;
use http::{Request, Response};
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::conf::Conf;
use crate::error::Faults;
use crate::setting::Setting;

/// An app: any service of HTTP requests whose error is `Infallible`, such as axum's `Router`.
pub type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A filter: a function that wraps an app.
pub type Filter = Box<dyn FnOnce(App) -> App>;

/// Boxes a service as an [`App`].
///
/// ```
/// use ampoule_deploy::{App, app};
/// use axum::{Router, routing::get};
///
/// let home: App = app(Router::new().route("/", get(|| async { "Hello." })));
/// # drop(home);
/// ```
pub fn app<S>(service: S) -> App
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    BoxCloneSyncService::new(service)
}

/// The apps that the options of a composite refer to. A composite's factory receives it, see
/// [`Registry::composite`](crate::Registry::composite).
pub struct Apps<'a> {
    pub(crate) conf: &'a Conf,
    pub(crate) load: &'a mut dyn FnMut(&Setting) -> Result<App, Faults>,
}

impl Apps<'_> {
    /// Loads the app that the value of this option refers to: the name of a section, `config:file.ini#name` or
    /// `egg:Dist#entry`. The option is looked up in the section first, then among the global ones.
    ///
    /// # Errors
    /// The faults of that app, or the fault that the option is missing.
    pub fn app(&mut self, option: &str) -> Result<App, Faults> {
        self.conf.mark_read([option]);
        match self.conf.setting(option) {
            Some(setting) => (self.load)(setting),
            None => Err(self.conf.missing(option, "expected the name of an app").into()),
        }
    }
}
