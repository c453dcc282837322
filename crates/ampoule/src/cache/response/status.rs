//! What the cache says that it did.

use axum_core::response::Response;
use http::header::{HeaderName, HeaderValue};

/// What the cache did, in `Cache-Status`.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Says what the cache did, as RFC 9211 has it.
pub(super) fn status(mut response: Response, what: &'static str) -> Response {
    response.headers_mut().append(CACHE_STATUS, HeaderValue::from_static(what));
    response
}
