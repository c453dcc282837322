//! The response for an error of the session.

use ampoule_core::Error;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

/// Returns the response for an error of the session: the status and text of
/// [`ErrorKind::for_client`](crate::ErrorKind::for_client), with the text only if the body type can hold it (axum's
/// can), and `Retry-After: 1` if a retry may succeed. A handler that returns the error itself gets the same response.
///
/// ```
/// use ampoule::{Error, ErrorKind, error_response};
///
/// let error = Error::new(ErrorKind::Unavailable, "the store cannot be reached");
/// let response: http::Response<String> = error_response(&error);
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["retry-after"], "1");
/// ```
pub fn error_response<R: Default + 'static>(error: &Error) -> Response<R> {
    let (status, text) = error.kind().for_client();
    let mut response = Response::new(body_of(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if error.is_transient() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Text as a body of a type that is known here; otherwise an empty body.
fn body_of<R: Default + 'static>(text: &'static str) -> R {
    let mut body = R::default();
    let any: &mut dyn std::any::Any = &mut body;
    if let Some(body) = any.downcast_mut::<String>() {
        text.clone_into(body);
    }
    #[cfg(feature = "axum")]
    if let Some(body) = any.downcast_mut::<axum_core::body::Body>() {
        *body = text.into();
    }
    body
}
