//! Whether a response can be kept, for how long, and what it varies by.

use std::time::Duration;

use ampoule_core::{Bytes, StoreKey, Time};
use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_RANGE, ETAG, HeaderName, SET_COOKIE, VARY};
use http::{HeaderMap, Request, StatusCode};
use std::sync::Arc;

use super::body::{self, Read};
use super::key::{Keys, is_of_the_connection};
use super::page::{Kept, Raw};
use crate::http::edit::add_vary;
use crate::session::Session;

/// What a handler may look at that the cache can see it do.
pub(super) struct Depends {
    session: Option<Session>,
    per_session: bool,
    /// The headers that the key names.
    named: Vec<HeaderName>,
    /// Whether the key has the values of what the page varies by.
    varied: bool,
    #[cfg(feature = "language")]
    negotiated: Option<Arc<std::sync::atomic::AtomicBool>>,
}

/// What is to become of a response.
pub(super) enum Verdict {
    /// It can be kept, for the time that is said, or else as long as the region says.
    Keep(Arc<Kept>, Option<Duration>),
    /// It could be, by the values of these headers.
    Varies(Vec<String>, Response),
    /// It cannot.
    Pass(Response),
    /// It says that the server failed.
    Failed(Response),
}

impl Depends {
    /// To be called before the handler.
    pub(super) fn of(request: &Request<Body>, keys: &Keys, varied: bool) -> Depends {
        let extensions = request.extensions();
        Depends {
            session: extensions.get().cloned(),
            per_session: keys.per_session,
            named: keys.headers.clone(),
            varied,
            #[cfg(feature = "language")]
            negotiated: crate::language::Language::negotiation(extensions),
        }
    }

    /// To be called after it.
    pub(super) async fn judge(self, response: Response, now: Time, most: usize) -> Verdict {
        if response.status().is_server_error() && response.status() != StatusCode::NOT_IMPLEMENTED {
            return Verdict::Failed(response);
        }
        let Some(expire) = allowed(&response) else { return Verdict::Pass(response) };
        let (mut parts, body) = response.into_parts();
        let body = match body::read(body, most).await {
            Read::Whole(body) => body,
            Read::Part(body) => return Verdict::Pass(Response::from_parts(parts, body)),
        };
        // A handler may touch its session until the last byte.
        let Some(names) = self.varies_by(&parts.headers).filter(|_| self.is_independent()) else {
            return Verdict::Pass(Response::from_parts(parts, body.into()));
        };
        for name in &names {
            add_vary(&mut parts.headers, name.clone().into());
        }
        let etag = || format!("\"{}\"", StoreKey::digest(&body));
        if parts.status == StatusCode::OK
            && !parts.headers.contains_key(ETAG)
            && let Ok(etag) = etag().parse()
        {
            parts.headers.insert(ETAG, etag);
        }
        let names: Vec<String> =
            names.iter().filter(|name| !self.named.contains(name)).map(ToString::to_string).collect();
        if !names.is_empty() && !self.varied {
            return Verdict::Varies(names, Response::from_parts(parts, body.into()));
        }
        let headers = parts.headers.iter().filter(|(name, _)| !is_of_the_connection(name));
        let headers = headers.map(|(name, value)| (name.to_string(), Raw(Bytes::copy_from_slice(value.as_bytes()))));
        let kept =
            Kept { status: parts.status.as_u16(), headers: headers.collect(), body: Raw(body), made: now.as_millis() };
        Verdict::Keep(Arc::new(kept), expire)
    }

    /// Whether all sessions are as if nobody had been here, or the key says which one it was.
    fn is_independent(&self) -> bool {
        let Some(session) = &self.session else { return true };
        let mut chain = session.chain();
        let first = chain.next().is_none_or(|first| match self.per_session {
            true => first.is_as_it_was(),
            false => !first.is_touched(),
        });
        first && chain.all(|outer| !outer.is_touched())
    }

    /// The headers that the response depends on; `None` if nobody can know.
    fn varies_by(&self, headers: &HeaderMap) -> Option<Vec<HeaderName>> {
        let mut names = self.named.clone();
        let mut add = |name: HeaderName| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        for value in headers.get_all(VARY) {
            for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                // `*` is a name that no header has.
                if name == "*" {
                    return None;
                }
                add(name.parse().ok()?);
            }
        }
        #[cfg(feature = "language")]
        if self.negotiated.as_ref().is_some_and(|negotiated| negotiated.load(std::sync::atomic::Ordering::Relaxed)) {
            add(http::header::ACCEPT_LANGUAGE);
        }
        Some(names)
    }
}

/// Whether the response lets itself be kept, and for how long if it says so. An unknown directive lets it.
fn allowed(response: &Response) -> Option<Option<Duration>> {
    let cacheable = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&response.status().as_u16());
    let headers = response.headers();
    if !cacheable || headers.contains_key(SET_COOKIE) || headers.contains_key(CONTENT_RANGE) {
        return None;
    }
    let (mut shared, mut any) = (None, None);
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',').map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = || value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
            match name.trim().to_ascii_lowercase().as_str() {
                // With a field's name too: which of the headers a handler means is not worth guessing at.
                "private" | "no-store" | "no-cache" => return None,
                "s-maxage" => shared = Some(seconds()?),
                "max-age" => any = Some(seconds()?),
                _ => {}
            }
        }
    }
    let expire = shared.or(any);
    (expire != Some(Duration::ZERO)).then_some(expire)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(status: u16, headers: &[(&str, &str)]) -> Option<Option<u64>> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let expire = allowed(&response.body(Body::empty()).unwrap());
        expire.map(|expire| expire.map(|expire| expire.as_secs()))
    }

    #[test]
    fn what_is_not_to_be_kept_is_not() {
        for headers in [
            [("set-cookie", "a=b")],
            [("cache-control", "private")],
            [("cache-control", "max-age=60, Private")],
            [("cache-control", "public, no-store")],
            [("cache-control", "no-cache=\"set-cookie\"")],
            [("cache-control", "max-age=0")],
            [("cache-control", "s-maxage=0, max-age=60")],
            [("cache-control", "max-age=soon")],
            [("content-range", "bytes 0-1/2")],
        ] {
            assert_eq!(with(200, &headers), None, "{headers:?}");
        }
        for status in [201, 206, 302, 303, 307, 401, 403, 429] {
            assert_eq!(with(status, &[]), None, "{status}");
        }
    }

    #[test]
    fn what_may_be_kept_says_for_how_long() {
        assert_eq!(with(200, &[]), Some(None));
        assert_eq!(with(404, &[("cache-control", "public")]), Some(None));
        assert_eq!(with(200, &[("cache-control", "max-age=60")]), Some(Some(60)));
        assert_eq!(with(200, &[("cache-control", "max-age=60"), ("cache-control", "s-maxage=\"7\"")]), Some(Some(7)));
    }
}
