//! `ErrorHandler`: a page for panics and unexpected errors.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ampoule_core::Error;
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::caught_error::{CaughtError, watch_panics};
use super::frames;
use crate::csrf::escape;

/// Turns panics, [`ServerError`](crate::ServerError)s and other errors with the status 500 into a page. With debug it
/// shows all details, including a backtrace with the application's own calls first; otherwise it shows a number, under
/// which the log has the details.
///
/// What the failed request changed in its session is not saved, unless the handler had saved it; then the page's
/// response has the session's cookie. The layer belongs around the session's, and inside
/// [`StatusCodeRedirect`](crate::StatusCodeRedirect), whose page gets the number too: [`Stack`](crate::Stack) puts them
/// in this order.
///
/// ```
/// use ampoule::ErrorHandler;
/// use axum::{Router, routing::get};
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(ErrorHandler::new(false));
/// ```
///
/// It adds a hook to the process's panic hook, which still runs, to learn where a panic was.
#[derive(Clone, Debug)]
pub struct ErrorHandler {
    debug: bool,
}

impl ErrorHandler {
    /// Creates the layer. **Never enable debug where others can reach the server**: the page shows paths and values.
    ///
    /// ```
    /// use ampoule::ErrorHandler;
    ///
    /// let layer = ErrorHandler::new(cfg!(debug_assertions));
    /// ```
    pub fn new(debug: bool) -> ErrorHandler {
        watch_panics(debug);
        ErrorHandler { debug }
    }

    fn page(&self, caught: &CaughtError, request: &RequestInfo) -> Response {
        let bytes: [u8; 5] = ampoule_seal::internal::random_bytes();
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (kind, message, location) = (caught.kind, &caught.message, caught.location());
        tracing::error!(id, kind, method = %request.method, path = request.path, location, error = %message, "a request failed");
        let details = self.debug.then(|| details(caught, request));
        let mut response = if request.wants_html { html(&id, details) } else { text(&id, details) };
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(ErrorNumber(id));
        response
    }
}

/// The number under which the log has the details.
#[derive(Clone)]
pub(super) struct ErrorNumber(pub(super) String);

/// The data of the failed request that a page shows.
struct RequestInfo {
    method: Method,
    path: String,
    wants_html: bool,
}

impl RequestInfo {
    fn of(request: &Request<Body>) -> RequestInfo {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        RequestInfo { method, path, wants_html: wants_html(request.headers()) }
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
}

/// The details of a failure: the backtrace's frames of the application, and then all.
struct Details {
    what: String,
    own_calls: String,
    all_calls: String,
}

fn details(caught: &CaughtError, request: &RequestInfo) -> Details {
    let mut what = format!("{} {}\n{}: {}\n", request.method, request.path, caught.kind, caught.message);
    if !caught.location().is_empty() {
        what.push_str(&format!("at {}\n", caught.location()));
    }
    let all_calls = caught.backtrace().unwrap_or_default();
    Details { what, own_calls: frames::of_application(&all_calls), all_calls }
}

fn text(id: &str, details: Option<Details>) -> Response {
    let mut page = format!("Something went wrong here. It is noted under the number {id}.\n");
    if let Some(Details { what, own_calls, all_calls }) = details {
        page.push_str(&what);
        for (title, calls) in [("calls of the application", own_calls), ("all calls", all_calls)] {
            if !calls.is_empty() {
                page.push_str(&format!("\n{title}:\n{calls}"));
            }
        }
    }
    page.into_response()
}

fn html(id: &str, details: Option<Details>) -> Response {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Something went wrong</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <style>body{font:1.05rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;border:1px solid;border-radius:.5rem;font-size:.85rem}</style>\
         <main><h1>Something went wrong here.</h1><p>It is noted under the number <code>",
    );
    page.push_str(id);
    page.push_str("</code>.</p>");
    if let Some(Details { what, own_calls, all_calls }) = details {
        page.push_str("<p>This is shown in debug alone.</p>");
        pre(&what, &mut page);
        if !own_calls.is_empty() {
            page.push_str("<h2>Calls of the application</h2>");
            pre(&own_calls, &mut page);
        }
        if !all_calls.is_empty() {
            page.push_str("<details><summary>All calls</summary>");
            pre(&all_calls, &mut page);
            page.push_str("</details>");
        }
    }
    page.push_str("</main></html>\n");
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn pre(text: &str, page: &mut String) {
    page.push_str("<pre>");
    escape(text, page);
    page.push_str("</pre>");
}

impl<S> Layer<S> for ErrorHandler {
    type Service = ErrorHandlerService<S>;

    fn layer(&self, inner: S) -> ErrorHandlerService<S> {
        ErrorHandlerService { handler: self.clone(), inner }
    }
}

/// A service that turns panics and errors into a page. Created by [`ErrorHandler`].
#[derive(Clone, Debug)]
pub struct ErrorHandlerService<S> {
    handler: ErrorHandler,
    inner: S,
}

impl<S> Service<Request<Body>> for ErrorHandlerService<S>
where
    S: Service<Request<Body>, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let info = RequestInfo::of(&request);
        let handler = self.handler.clone();
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        Box::pin(async move {
            let answered = match called {
                Ok(future) => CaughtError::panics_of(future).await,
                Err(payload) => Err(CaughtError::of_panic(&*payload)),
            };
            match answered {
                Ok(response) => Ok(handler.replace(response?, &info)),
                Err(caught) => Ok(handler.page(&caught, &info)),
            }
        })
    }
}

impl ErrorHandler {
    /// Replaces the response of an error by a page.
    fn replace(&self, response: Response, info: &RequestInfo) -> Response {
        if response.status() != StatusCode::INTERNAL_SERVER_ERROR
            || response.extensions().get::<ErrorNumber>().is_some()
        {
            return response;
        }
        let of_session = response.extensions().get::<Arc<Error>>().map(|error| CaughtError::of_error(&**error));
        match response.extensions().get::<CaughtError>().cloned().or(of_session) {
            Some(caught) => with_kept_headers(response.headers(), self.page(&caught, info)),
            None => response,
        }
    }
}

/// Copies to the page the headers of the replaced response that report what was done: a login may have been saved
/// before the error.
fn with_kept_headers(replaced: &HeaderMap, mut page: Response) -> Response {
    for name in [SET_COOKIE, VARY, HeaderName::from_static("clear-site-data")] {
        for value in replaced.get_all(&name) {
            page.headers_mut().append(&name, value.clone());
        }
    }
    page
}

impl CaughtError {
    /// Runs a future, and returns its output or its panic.
    async fn panics_of<F: Future>(future: F) -> Result<F::Output, CaughtError> {
        let mut future = Box::pin(future);
        std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(CaughtError::of_panic(&*payload))),
        })
        .await
    }
}
