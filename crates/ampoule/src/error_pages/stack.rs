//! `Stack`: all layers of a site in their order.

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::response::Response;
use http::Request;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;
use tower_service::Service;

use super::error_handler::ErrorHandler;
use super::status_code_redirect::StatusCodeRedirect;
use crate::layer::SessionLayer;

/// All layers of a site, in the right order.
///
/// ```text
///  request │                                              ▲ response
///          ▼                                              │
///  StatusCodeRedirect   a page for a status: sends a second request to the layers below
///  ErrorHandler         a page for a panic or an error; unsaved changes are dropped
///  (yours)              layers that must not depend on the session: logs, compression, a cache of public pages
///  SessionLayer         places the session into the request, and sends its cookie
///  (yours)              layers that use the session: permissions
///  Languages            places the language into the request; the session may choose it
///  CsrfLayer            rejects requests that another site started
///          │                                              ▲
///          ▼            the application, with its routes  │
/// ```
///
/// Put it around a whole application. To add further layers, put the result into a router:
///
/// ```
/// use ampoule::{CsrfLayer, ErrorHandler, Languages, MemoryStore, Options, Secret, SessionLayer, Stack, StatusCodeRedirect};
/// use axum::{Router, routing::get};
/// use tower::Layer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = Secret::generate();
/// # let sessions = SessionLayer::new(MemoryStore::default(), Options { secrets: vec![Secret::new(secret)?], ..Options::default() })?;
/// let debug = cfg!(debug_assertions);
/// let app: Router = Router::new().route("/", get(|| async { "hello" }));
/// let stack = Stack::new(sessions)
///     .csrf(CsrfLayer::new())
///     .languages(Languages::new(["en", "de"])?)
///     .error_handler(ErrorHandler::new(debug))
///     .status_code_redirect(StatusCodeRedirect::new("/error/document")?.with_debug(debug));
/// let site: Router = Router::new().fallback_service(stack.layer(app));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    sessions: SessionLayer,
    #[cfg(feature = "forms")]
    csrf: Option<crate::csrf::CsrfLayer>,
    #[cfg(feature = "language")]
    languages: Option<crate::language::Languages>,
    error_handler: Option<ErrorHandler>,
    status_code_redirect: Option<StatusCodeRedirect>,
}

impl Stack {
    /// Creates a stack with the session's layer alone.
    pub fn new(sessions: SessionLayer) -> Stack {
        Stack {
            sessions,
            #[cfg(feature = "forms")]
            csrf: None,
            #[cfg(feature = "language")]
            languages: None,
            error_handler: None,
            status_code_redirect: None,
        }
    }

    /// Adds secure forms.
    #[cfg(feature = "forms")]
    #[must_use]
    pub fn csrf(self, csrf: crate::csrf::CsrfLayer) -> Stack {
        Stack { csrf: Some(csrf), ..self }
    }

    /// Adds languages.
    #[cfg(feature = "language")]
    #[must_use]
    pub fn languages(self, languages: crate::language::Languages) -> Stack {
        Stack { languages: Some(languages), ..self }
    }

    /// Adds a page for panics and errors.
    #[must_use]
    pub fn error_handler(self, error_handler: ErrorHandler) -> Stack {
        Stack { error_handler: Some(error_handler), ..self }
    }

    /// Adds a page for statuses without one.
    #[must_use]
    pub fn status_code_redirect(self, status_code_redirect: StatusCodeRedirect) -> Stack {
        Stack { status_code_redirect: Some(status_code_redirect), ..self }
    }
}

type Site = BoxCloneSyncService<Request<Body>, Response, Infallible>;

impl<S> Layer<S> for Stack
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Service = Site;

    fn layer(&self, app: S) -> Site {
        let mut site = Site::new(app);
        #[cfg(feature = "forms")]
        if let Some(csrf) = &self.csrf {
            site = Site::new(csrf.layer(site));
        }
        #[cfg(feature = "language")]
        if let Some(languages) = &self.languages {
            site = Site::new(languages.layer(site));
        }
        site = Site::new(self.sessions.layer(site));
        if let Some(error_handler) = &self.error_handler {
            site = Site::new(error_handler.layer(site));
        }
        if let Some(status_code_redirect) = &self.status_code_redirect {
            site = Site::new(status_code_redirect.layer(site));
        }
        site
    }
}
