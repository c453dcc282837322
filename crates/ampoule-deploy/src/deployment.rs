//! What a file describes, once it is made.

use ampoule::SessionLayer;
use ampoule::cache::CacheManager;

use crate::app::App;
use crate::error::{Fault, Faults};
use crate::server::{Listen, Server};
use crate::setting::Place;

/// What a file describes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// The app, with all filters and apps below it.
    pub app: App,
    /// Where to serve it, if the file says so.
    pub server: Option<Server>,
    /// What the factories had to tell the operator, from the outermost section inwards, each line once.
    pub notes: Vec<String>,
    /// What the operator should change or know although it is served, in the order of the lines: what was passed over, a weak
    /// secret in debug.
    pub warnings: Vec<Fault>,
    /// Where each option of a session or cache comes from: the file with its line, the environment, the command line.
    pub origins: Vec<String>,
    /// The session layers that were made.
    pub sessions: Vec<SessionLayer>,
    /// The caches that were made.
    pub caches: Vec<CacheManager>,
    /// The sessions whose cookies are for TLS alone.
    pub(crate) secure: Vec<String>,
    /// A filter says that requests come by https.
    pub(crate) is_https: bool,
    /// Where the server's section stands.
    pub(crate) place: Place,
}

impl Deployment {
    /// The same without warnings.
    ///
    /// # Errors
    /// The warnings, if there are any.
    pub fn strict(self) -> Result<Deployment, Faults> {
        if self.warnings.is_empty() { Ok(self) } else { Err(Faults(self.warnings)) }
    }

    /// Whether the file says that clients come by https, by `url_scheme` of the server or `scheme` of a filter.
    pub fn is_https(&self) -> bool {
        self.is_https || self.server.as_ref().is_some_and(|server| server.is_https)
    }

    /// What to say where browsers would drop a cookie: it is `Secure`, and goes out over plain http at an address that other
    /// machines reach.
    pub fn secure_over_http(&self) -> Option<Fault> {
        let server = self.server.as_ref()?;
        let reached: Vec<String> = server.reachable().map(Listen::to_string).collect();
        if self.secure.is_empty() || self.is_https() || !server.proxies.is_empty() || reached.is_empty() {
            return None;
        }
        let (sessions, reached) = (self.secure.join(", "), reached.join(", "));
        let message = format!(
            "the cookie of {sessions} is Secure, and {reached} is plain http that others reach: browsers drop it there. Name \
             the proxy that speaks TLS in `trusted_proxies`, or write beaker.session.secure = false"
        );
        Some(self.place.fault("host", message))
    }
}
