//! What a deployment is made of: apps, and filters before them.

use std::convert::Infallible;

use axum_core::body::Body;
use http::{Request, Response};
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::conf::Conf;
use crate::error::Faults;
use crate::setting::Setting;

/// An app: any service of requests that cannot fail. axum's `Router` is one.
pub type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What a filter does to an app.
pub type Filter = Box<dyn FnOnce(App) -> App>;

/// Makes an [`App`] of a service.
pub fn app<S>(service: S) -> App
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    BoxCloneSyncService::new(service)
}

/// What a composite is made of: the apps that its options name.
pub struct Apps<'a> {
    pub(crate) conf: &'a Conf,
    pub(crate) load: &'a mut dyn FnMut(&Setting) -> Result<App, Faults>,
}

impl Apps<'_> {
    /// The app that the value of this option names: a section, `config:file.ini#name` or `egg:Dist#entry`. The option
    /// is one of the section's, or else a global one.
    ///
    /// # Errors
    /// All that is wrong with that app; or that the option is missing.
    pub fn app(&mut self, option: &str) -> Result<App, Faults> {
        match self.conf.setting(option) {
            Some(setting) => (self.load)(setting),
            None => Err(self.conf.missing(option, "expected the name of an app").into()),
        }
    }
}
