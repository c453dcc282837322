//! The result of loading a file.

use ampoule::SessionLayer;
use ampoule::cache::CacheManager;

use crate::app::App;
use crate::error::{Fault, Faults};
use crate::server::{Listen, Server};
use crate::setting::Location;

/// A loaded file: the app, the server, and what the operator should be told.
#[derive(Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// The app, with its filters and the apps below it.
    pub app: App,
    /// The server, if the file has a `[server:…]` section.
    pub server: Option<Server>,
    /// What the factories report to the operator, from the outermost section inwards, each line once.
    pub notes: Vec<String>,
    /// What the operator should know or change, although the file is served, in the order of the lines: ignored
    /// options, a weak secret in debug.
    pub warnings: Vec<Fault>,
    /// Where each option of a session or cache comes from: the file with its line, the environment, the command line.
    pub origins: Vec<String>,
    /// All session layers of the app.
    pub sessions: Vec<SessionLayer>,
    /// All caches of the app.
    pub caches: Vec<CacheManager>,
    /// The names of the sessions whose cookies are `Secure`.
    pub(crate) secure: Vec<String>,
    /// Whether a filter declares that requests arrive by https.
    pub(crate) is_https: bool,
    /// The first line of the server's section.
    pub(crate) location: Location,
}

impl Deployment {
    /// Turns warnings into errors, as `ampoule check --strict` does.
    ///
    /// # Errors
    /// The warnings, if there are any.
    pub fn strict(self) -> Result<Deployment, Faults> {
        if self.warnings.is_empty() { Ok(self) } else { Err(Faults(self.warnings)) }
    }

    /// Whether the file declares that clients use https, by `url_scheme` of the server or `scheme` of a filter.
    pub fn is_https(&self) -> bool {
        self.is_https || self.server.as_ref().is_some_and(|server| server.is_https)
    }

    /// Returns a warning if browsers would drop a session's cookie: it is `Secure`, and the server sends it over plain
    /// http from an address that other machines can reach.
    pub fn secure_over_http(&self) -> Option<Fault> {
        let server = self.server.as_ref()?;
        let reached: Vec<String> = server.reachable().map(Listen::to_string).collect();
        if self.secure.is_empty() || self.is_https() || !server.proxies.is_empty() || reached.is_empty() {
            return None;
        }
        let (sessions, reached) = (self.secure.join(", "), reached.join(", "));
        let message = format!(
            "the cookie of {sessions} is Secure, but other machines reach {reached} over plain http, where browsers drop it. \
             Name the proxy that has TLS in `trusted_proxies`, or write beaker.session.secure = false"
        );
        Some(self.location.fault("host", message))
    }
}
