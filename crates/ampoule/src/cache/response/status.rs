//! `Cache-Status` (RFC 9211): the action of the cache.

use axum_core::response::Response;
use http::header::{HeaderName, HeaderValue};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What the cache did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheStatus {
    /// A stored response was reused; the number of seconds that it is still fresh, or negative if stale.
    Hit(i64),
    /// The handler was called.
    Forwarded(Forward),
    /// The handler was called since there was no stored response, and its response was stored.
    Stored,
    /// The request asked for a stored response only, and there is none.
    OnlyIfCached,
}

/// Why a request was forwarded to the handler: the words of RFC 9211 section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    /// The request bypasses the cache.
    Bypass,
    /// Its method is not GET or HEAD.
    Method,
    /// There was no stored response.
    Miss,
    /// The stored response was selected by other request headers.
    VaryMiss,
    /// The stored response was stale.
    Stale,
    /// The request's own `Cache-Control` did not allow the stored response.
    Request,
}

impl Forward {
    fn name(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::Miss => "miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Stale => "stale",
            Forward::Request => "request",
        }
    }
}

impl CacheStatus {
    /// Adds the header to a response.
    pub(super) fn on(self, mut response: Response) -> Response {
        let text = match self {
            CacheStatus::Hit(ttl) => format!("ampoule; hit; ttl={ttl}"),
            CacheStatus::Forwarded(why) => format!("ampoule; fwd={}", why.name()),
            CacheStatus::Stored => "ampoule; fwd=miss; stored".to_owned(),
            CacheStatus::OnlyIfCached => "ampoule; detail=only-if-cached".to_owned(),
        };
        if let Ok(text) = HeaderValue::try_from(text) {
            response.headers_mut().append(CACHE_STATUS, text);
        }
        response
    }
}
