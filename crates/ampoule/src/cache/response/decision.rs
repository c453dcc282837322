//! Whether a response is stored, for how long, and which header fields of requests select it.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{StoreKey, Time};
use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{CONTENT_RANGE, COOKIE, ETAG, HeaderMap, SET_COOKIE, VARY};
use http::{Request, StatusCode};

use super::body::{self, Read};
use super::policy;
use super::stored::StoredResponse;
use crate::session::Session;
use crate::session::touch_probe::TouchProbe;

/// The most header fields in `Vary` of a stored response.
const MAX_VARY: usize = 16;

/// Records which sessions and languages a handler used.
pub(super) struct Cacheability {
    /// The session of the layers outside of the cache.
    session: Option<Session>,
    /// The probe for layers inside the cache.
    probe: TouchProbe,
    #[cfg(feature = "language")]
    negotiated: Option<Arc<std::sync::atomic::AtomicBool>>,
}

/// What to do with a response.
pub(super) enum Decision {
    /// Store it under the key, for as long as it is fresh.
    Store(Arc<StoredResponse>, Duration),
    /// Store it under a key with these header fields of the request.
    Vary(Vec<String>, Response),
    /// Do not store it.
    Uncacheable(Response),
}

impl Cacheability {
    /// Places a probe into the request. Call it before the handler.
    pub(super) fn of(request: &mut Request<Body>) -> Cacheability {
        let probe = TouchProbe::default();
        request.extensions_mut().insert(probe.clone());
        Cacheability {
            session: request.extensions().get().cloned(),
            probe,
            #[cfg(feature = "language")]
            negotiated: crate::language::Language::negotiation(request.extensions()),
        }
    }

    /// Decides about the response after the handler. `selected` are the header fields of the `request` in the key.
    pub(super) async fn decide(
        &self,
        response: Response,
        (request, selected): (&HeaderMap, &[String]),
        now: Time,
        most: usize,
    ) -> Decision {
        let Some(lifetime) = explicit_lifetime(&response, now) else { return Decision::Uncacheable(response) };
        let (mut parts, body) = response.into_parts();
        let body = match body::read(body, most).await {
            Read::Whole(body) => body,
            Read::Part(body) => return Decision::Uncacheable(Response::from_parts(parts, body)),
        };
        self.add_negotiated(&mut parts.headers);
        // A handler may touch its session until the last byte.
        let Some(names) = selecting_fields(&parts.headers).filter(|_| !self.is_session_touched()) else {
            return Decision::Uncacheable(Response::from_parts(parts, body.into()));
        };
        if parts.status == StatusCode::OK
            && !parts.headers.contains_key(ETAG)
            && let Ok(etag) = format!("\"{}\"", StoreKey::digest(&body)).parse()
        {
            parts.headers.insert(ETAG, etag);
        }
        if !names.iter().all(|name| selected.contains(name)) {
            return Decision::Vary(names, Response::from_parts(parts, body.into()));
        }
        let stored = StoredResponse::new(&parts, body, now, names, request);
        Decision::Store(Arc::new(stored), lifetime)
    }

    /// Whether the session of any layer was touched, outside or inside of the cache.
    fn is_session_touched(&self) -> bool {
        let outer = self.session.as_ref().is_some_and(|session| session.chain().any(Session::is_touched));
        outer || self.probe.is_set()
    }

    #[cfg(feature = "language")]
    fn add_negotiated(&self, headers: &mut HeaderMap) {
        if self.negotiated.as_ref().is_some_and(|negotiated| negotiated.load(std::sync::atomic::Ordering::Relaxed)) {
            crate::http::edit::add_vary(headers, http::header::ACCEPT_LANGUAGE.into());
        }
    }

    #[cfg(not(feature = "language"))]
    fn add_negotiated(&self, _: &mut HeaderMap) {}
}

/// How long a response is fresh if it explicitly allows storage by a shared cache and nothing forbids it.
fn explicit_lifetime(response: &Response, now: Time) -> Option<Duration> {
    let headers = response.headers();
    if headers.contains_key(SET_COOKIE) || headers.contains_key(CONTENT_RANGE) || selecting_fields(headers).is_none() {
        return None;
    }
    policy::freshness_lifetime(response.status(), headers, now.into())
}

/// The request header fields that `Vary` names, in lower case and sorted; `None` if they cannot all be determined. A
/// response that varies by cookies is for one client only.
fn selecting_fields(headers: &HeaderMap) -> Option<Vec<String>> {
    let lines: Option<Vec<&str>> = headers.get_all(VARY).iter().map(|value| value.to_str().ok()).collect();
    let lines = lines?.join(",").to_ascii_lowercase();
    let mut names: Vec<String> =
        lines.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    let is_known = |name: &String| name != "*" && COOKIE != name.as_str() && name.parse::<http::HeaderName>().is_ok();
    (names.len() <= MAX_VARY && names.iter().all(is_known)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_that_must_not_be_stored_are_uncacheable() {
        for (name, value) in [
            ("set-cookie", "a=b"),
            ("content-range", "bytes 0-1/2"),
            ("vary", "*"),
            ("vary", "accept, *"),
            ("vary", "Cookie"),
            ("vary", "a b"),
            ("vary", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"),
            ("cache-control", "private"),
        ] {
            let allowed = Response::builder().header("cache-control", "public, s-maxage=60");
            let response = allowed.header(name, value).body(Body::empty()).unwrap();
            assert_eq!(explicit_lifetime(&response, Time::ZERO), None, "{name}: {value}");
        }
    }

    #[test]
    fn the_names_of_vary_are_compared_without_case_and_order() {
        let fields = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (VARY, line.parse().unwrap()));
            selecting_fields(&lines.collect()).unwrap().join(" ")
        };
        assert_eq!(fields(&["Accept, accept-encoding", ",ACCEPT,"]), "accept accept-encoding");
        assert_eq!(fields(&[]), "");
    }
}
