//! `StatusCodeRedirect`: the application's own page for a status.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ampoule_core::{Error, ErrorKind};
use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::Response;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPECT, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, SET_COOKIE, TRANSFER_ENCODING, VARY,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower_layer::Layer;
use tower_service::Service;

use super::error_handler::ErrorNumber;
use super::subrequest;

/// The longest text, in bytes, that is passed to an error page as a message.
const MAX_TEXT: u64 = 4_096;

/// Headers that describe the body, which is replaced.
const BODY_HEADERS: [HeaderName; 12] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_DISPOSITION,
    ACCEPT_RANGES,
    TRANSFER_ENCODING,
    ETAG,
    LAST_MODIFIED,
    SET_COOKIE,
];

/// Headers of a request that do not apply to a request for another page.
const DROPPED_HEADERS: [HeaderName; 11] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
    EXPECT,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

/// Answers 400, 401, 403 and 404, and outside debug 500, with a page of the application: it sends a second request,
/// inside the process, to a path such as `/error/document`. The client sees the first status and address.
///
/// The second request is a GET, and its handler takes a [`FailedRequest`]. The cookies that the first response sets are
/// kept (Pylons lost them), and the second request sends them as a browser's next request would; headers such as
/// `WWW-Authenticate` and `Retry-After` are kept too. The second request is never redirected itself: if it fails too,
/// the first response is sent. Of several nested layers, the innermost that handles the status creates the page.
///
/// The layer must be around the **whole** application, including its routing. In axum a layer that is added to a
/// `Router` is inside the routing; so put the router into another one:
///
/// ```
/// use ampoule::{FailedRequest, StatusCodeRedirect};
/// use axum::{Router, routing::get};
/// use tower::Layer;
///
/// async fn error_page(failed: FailedRequest) -> String {
///     format!("{} has no page for you: {}", failed.uri.path(), failed.status)
/// }
///
/// # fn main() -> Result<(), ampoule::Error> {
/// let app: Router = Router::new().route("/error/document", get(error_page));
/// let app: Router = Router::new().fallback_service(StatusCodeRedirect::new("/error/document")?.layer(app));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct StatusCodeRedirect {
    page: PathAndQuery,
    statuses: Arc<[StatusCode]>,
    debug: bool,
}

impl StatusCodeRedirect {
    /// Creates the layer for 400, 401, 403, 404 and 500.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `page` is not a path.
    pub fn new(page: &str) -> Result<StatusCodeRedirect, Error> {
        let bad = || Error::new(ErrorKind::Config, format!("expected a path such as /error/document, not `{page}`"));
        let page = page.parse().ok().filter(|_| page.starts_with('/')).ok_or_else(bad)?;
        Ok(StatusCodeRedirect { page, statuses: Arc::new([]), debug: false }.with_statuses([400, 401, 403, 404, 500]))
    }

    /// With debug, 500 is not handled, so that the page of [`ErrorHandler`](crate::ErrorHandler) is sent, which then
    /// shows all details.
    ///
    /// ```
    /// # fn main() -> Result<(), ampoule::Error> {
    /// use ampoule::StatusCodeRedirect;
    ///
    /// let layer = StatusCodeRedirect::new("/error/document")?.with_debug(cfg!(debug_assertions));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_debug(self, debug: bool) -> StatusCodeRedirect {
        StatusCodeRedirect { debug, ..self }
    }

    fn handles(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status) && !(self.debug && status == StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Sets the statuses that are handled, in place of the default ones. A number that is not a status is ignored.
    ///
    /// ```
    /// # fn main() -> Result<(), ampoule::Error> {
    /// use ampoule::StatusCodeRedirect;
    ///
    /// let layer = StatusCodeRedirect::new("/error/document")?.with_statuses([404, 410]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_statuses(self, statuses: impl IntoIterator<Item = u16>) -> StatusCodeRedirect {
        let statuses = statuses.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect();
        StatusCodeRedirect { statuses, ..self }
    }

    /// The second request.
    fn subrequest(&self, mut first: Parts, response: &HeaderMap, failed: FailedRequest) -> Request<Body> {
        let mut uri = first.uri.into_parts();
        uri.path_and_query = Some(self.page.clone());
        first.uri = Uri::from_parts(uri).unwrap_or_else(|_| Uri::from(self.page.clone()));
        if first.method != Method::HEAD {
            first.method = Method::GET;
        }
        for name in DROPPED_HEADERS {
            first.headers.remove(name);
        }
        subrequest::apply(response, &mut first.headers, self.page.path());
        first.extensions.insert(failed);
        Request::from_parts(first, Body::empty())
    }
}

/// The request that an error page is shown for, as an extractor. For a request that a client made to the page itself it
/// is a 404, or `None` as an `Option`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedRequest {
    /// The status of the response.
    pub status: StatusCode,
    /// The method of the request.
    pub method: Method,
    /// The address of the request.
    pub uri: Uri,
    /// The text of the response, if it was plain text of up to 4096 bytes: `Please log in first.`
    pub text: String,
    /// The number under which the log has the details, if [`ErrorHandler`](crate::ErrorHandler) caught the error.
    pub error_number: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for FailedRequest {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<FailedRequest, StatusCode> {
        parts.extensions.get().cloned().ok_or(StatusCode::NOT_FOUND)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for FailedRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<FailedRequest>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Marks a response that an error page created, so that a redirect further out does not replace it.
#[derive(Clone, Copy)]
struct FromErrorPage;

/// The page's body with the first response's status, and the headers of both.
fn merge(first: Response, mut page: Response) -> Response {
    *page.status_mut() = first.status();
    page.extensions_mut().insert(FromErrorPage);
    let headers = page.headers_mut();
    let kept = subrequest::not_set_again(first.headers(), headers);
    let own = headers.get_all(SET_COOKIE).iter().cloned().collect::<Vec<_>>();
    headers.remove(SET_COOKIE);
    for cookie in kept.into_iter().chain(own) {
        headers.append(SET_COOKIE, cookie);
    }
    let is_no_store = |value: &http::HeaderValue| value.as_bytes().windows(8).any(|word| word == b"no-store");
    for name in first.headers().keys().filter(|name| !BODY_HEADERS.contains(name)) {
        let values = first.headers().get_all(name);
        let is_stricter = *name == CACHE_CONTROL && values.iter().any(is_no_store);
        if is_stricter {
            headers.remove(name);
        }
        if *name == VARY || !headers.contains_key(name) {
            for value in values {
                headers.append(name, value.clone());
            }
        }
    }
    page
}

/// Reads the text of a short response, which is returned unchanged.
async fn text_of(response: Response) -> (Response, String) {
    let is_text = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let is_short = response.body().size_hint().exact().is_some_and(|size| size <= MAX_TEXT);
    if !is_text || !is_short {
        return (response, String::new());
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (Response::from_parts(parts, Body::from(bytes)), text)
}

impl<S> Layer<S> for StatusCodeRedirect {
    type Service = StatusCodeRedirectService<S>;

    fn layer(&self, inner: S) -> StatusCodeRedirectService<S> {
        StatusCodeRedirectService { redirect: self.clone(), inner }
    }
}

/// A service that replaces statuses by pages. Created by [`StatusCodeRedirect`].
#[derive(Clone, Debug)]
pub struct StatusCodeRedirectService<S> {
    redirect: StatusCodeRedirect,
    inner: S,
}

impl<S> Service<Request<Body>> for StatusCodeRedirectService<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if request.extensions().get::<FailedRequest>().is_some() {
            return Box::pin(inner.call(request));
        }
        let redirect = self.redirect.clone();
        let (parts, body) = request.into_parts();
        let first = parts.clone();
        Box::pin(async move {
            let response = inner.call(Request::from_parts(parts, body)).await?;
            let is_from_error_page = response.extensions().get::<FromErrorPage>().is_some();
            if is_from_error_page || !redirect.handles(response.status()) {
                return Ok(response);
            }
            let (response, text) = text_of(response).await;
            let error_number = response.extensions().get::<ErrorNumber>().map(|number| number.0.clone());
            let (status, method, uri) = (response.status(), first.method.clone(), first.uri.clone());
            let failed = FailedRequest { status, method, uri, text, error_number };
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            let page = inner.call(redirect.subrequest(first, response.headers(), failed)).await?;
            if !page.status().is_success() {
                tracing::warn!(page = %redirect.page, status = %page.status(), "the error page was not created: is the layer around the router?");
                return Ok(response);
            }
            Ok(merge(response, page))
        })
    }
}
