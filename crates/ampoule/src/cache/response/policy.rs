//! RFC 9111's rules for storing and reusing responses, as the crate `http-cache-semantics` implements them.
//!
//! That crate gets a view with only the header fields that its decisions need, each once and in lower case, since it
//! matches directives by their exact text and reads only the first value of a header field. A header that cannot be
//! parsed unambiguously is not stored. Heuristic lifetimes are disabled: a response without an explicit lifetime has
//! none. `Vary` is handled by the keys.

use std::time::{Duration, SystemTime};

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderName, PRAGMA};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};

use super::status::Forward;

const SHARED: CacheOptions = CacheOptions {
    shared: true,
    cache_heuristic: 0.0,
    immutable_min_time_to_live: Duration::ZERO,
    ignore_cargo_cult: false,
};

/// The longest lifetime of a stored response.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 86_400);

/// How long a response is fresh if `public` or `s-maxage` allow storage by a shared cache; `None` for any other
/// response.
pub(super) fn freshness_lifetime(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let said = directives(headers)?;
    if !has(&said, "public") && !has(&said, "s-maxage") {
        return None;
    }
    let policy = policy(status, headers, now)?;
    let lifetime = policy.time_to_live(now).min(MAX_LIFETIME);
    (policy.is_storable() && !lifetime.is_zero()).then_some(lifetime)
}

/// Whether a stored response may answer a request, and for how many seconds it is fresh. If the handler has `failed`,
/// the response may be older.
pub(super) fn reuse(
    request: &HeaderMap,
    (status, headers, received): (StatusCode, &HeaderMap, SystemTime),
    now: SystemTime,
    failed: bool,
) -> Result<i64, Forward> {
    let policy = policy(status, headers, received).ok_or(Forward::Stale)?;
    let said = directives(request).ok_or(Forward::Request)?;
    let resident = now.duration_since(received).unwrap_or_default().as_secs() as i64;
    let ttl = policy.time_to_live(received).as_secs() as i64 - resident;
    let is_allowed = matches!(policy.before_request(&request_view(request, &said), now), BeforeRequest::Fresh(_));
    let takes_any = said.is_empty() && !request.contains_key(PRAGMA);
    match (policy.is_stale(now), is_allowed) {
        (false, true) => Ok(ttl),
        (false, false) => Err(Forward::Request),
        (true, _) if takes_any && -ttl <= stale_allowance(headers, failed) => Ok(ttl),
        (true, _) => Err(Forward::Stale),
    }
}

/// For how many seconds a stale response may be used (RFC 5861). `s-maxage` forbids it (RFC 9111 section 5.2.2.10).
fn stale_allowance(headers: &HeaderMap, failed: bool) -> i64 {
    let said = directives(headers).unwrap_or_default();
    if ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage"].iter().any(|name| has(&said, name)) {
        return -1;
    }
    let word = if failed { "stale-if-error" } else { "stale-while-revalidate" };
    let value =
        pairs(&said).find(|(name, _)| *name == word).and_then(|(_, value)| value.trim_matches('"').parse().ok());
    value.map_or(-1, |seconds: u32| seconds.into())
}

/// Whether a request forbids storing, or cannot be parsed unambiguously: it is then not answered from stored responses
/// either.
pub(super) fn forbids_storing(request: &HeaderMap) -> bool {
    directives(request).is_none_or(|said| has(&said, "no-store"))
}

/// Whether a request is to be answered from stored responses alone.
pub(super) fn is_only_if_cached(request: &HeaderMap) -> bool {
    directives(request).is_some_and(|said| has(&said, "only-if-cached"))
}

/// All directives of `Cache-Control` in one line, in lower case; `None` if they cannot be parsed unambiguously:
/// non-ASCII text, and commas or backslashes between quotes.
fn directives(headers: &HeaderMap) -> Option<String> {
    let lines: Option<Vec<&str>> = headers.get_all(CACHE_CONTROL).iter().map(|value| value.to_str().ok()).collect();
    let line = lines?.join(",").to_ascii_lowercase();
    let is_clear = |piece: &str| matches!(piece.matches('"').count(), 0 | 2);
    (!line.contains('\\') && line.split(',').all(is_clear)).then_some(line)
}

fn pairs(directives: &str) -> impl Iterator<Item = (&str, &str)> {
    let pair = |piece| <str>::split_once(piece, '=').unwrap_or((piece, ""));
    directives.split(',').map(pair).map(|(name, value)| (name.trim(), value.trim()))
}

fn has(directives: &str, wanted: &str) -> bool {
    pairs(directives).any(|(name, _)| name == wanted)
}

/// Without `max-stale`, which would allow a client more than the response does.
fn request_view(request: &HeaderMap, said: &str) -> Request<()> {
    let mut view = Request::new(());
    let kept: Vec<&str> = said.split(',').filter(|piece| !piece.trim().starts_with("max-stale")).collect();
    put(view.headers_mut(), CACHE_CONTROL, kept.join(","));
    if said.is_empty() && request.contains_key(PRAGMA) {
        put(view.headers_mut(), PRAGMA, "no-cache".to_owned());
    }
    view
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// The policy of a response to a plain GET; `None` if `Age`, `Date` or `Expires` have several values, or `Age` is not a
/// number.
fn policy(status: StatusCode, headers: &HeaderMap, received: SystemTime) -> Option<CachePolicy> {
    let mut view = Response::new(());
    *view.status_mut() = status;
    put(view.headers_mut(), CACHE_CONTROL, directives(headers)?);
    for name in [AGE, DATE, EXPIRES] {
        let mut values = headers.get_all(&name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if name != AGE || value.to_str().ok()?.parse::<u32>().is_ok() => {
                view.headers_mut().insert(name, value.clone());
            }
            (None, _) => {}
            _ => return None,
        }
    }
    Some(CachePolicy::new_options(&Request::new(()), &view, received, SHARED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn lifetime(status: u16, pairs: &[(&'static str, &str)]) -> Option<u64> {
        let status = StatusCode::from_u16(status).unwrap();
        freshness_lifetime(status, &headers(pairs), SystemTime::UNIX_EPOCH).map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn only_explicitly_cacheable_responses_have_a_lifetime() {
        for said in [
            "",
            "max-age=60",
            "immutable",
            "public",
            "public, max-age=0",
            "public, max-age=soon",
            "private, max-age=60, public",
            "PRIVATE, s-maxage=60",
            "s-maxage=60, No-Store",
            "public, max-age=60, no-cache",
            "public, max-age=60, no-cache=\"set-cookie\"",
            "public, max-age=60, private=\"x\"",
            "public, max-age=60, private=\"x, y\"",
            "max-age=60, ext=\"a,public,b\"",
            "public, max-age=60, ext=\"\\\"",
            "public, max-age=60, \u{e9}",
            "max-age=60, s-maxage=0, public",
            "proxy-revalidate, s-maxage=60",
        ] {
            assert_eq!(lifetime(200, &[("cache-control", said)]), None, "{said}");
        }
        for status in [100, 101, 201, 206, 304, 401, 403, 429, 500, 503] {
            assert_eq!(lifetime(status, &[("cache-control", "public, s-maxage=60")]), None, "{status}");
        }
    }

    #[test]
    fn lifetimes_are_calculated_as_in_rfc_9111() {
        for (said, expected) in [
            ("public, max-age=60", 60),
            ("Public,Max-Age=60", 60),
            ("s-maxage=60", 60),
            ("max-age=5, s-maxage=\"7\"", 7),
            ("public, must-revalidate, max-age=60", 60),
        ] {
            assert_eq!(lifetime(200, &[("cache-control", said)]), Some(expected), "{said}");
        }
        let epoch = "Thu, 01 Jan 1970 00:01:00 GMT";
        assert_eq!(lifetime(404, &[("cache-control", "public"), ("expires", epoch)]), Some(60));
        assert_eq!(lifetime(200, &[("cache-control", "public"), ("expires", "0")]), None);
        assert_eq!(lifetime(200, &[("cache-control", "public"), ("expires", epoch), ("expires", "0")]), None);
        assert_eq!(lifetime(200, &[("cache-control", "s-maxage=60"), ("age", "20")]), Some(40));
        for age in ["60", "18446744073709551615", "old", "-1"] {
            assert_eq!(lifetime(200, &[("cache-control", "s-maxage=60"), ("age", age)]), None, "{age}");
        }
        assert_eq!(lifetime(200, &[("cache-control", "max-age=60"), ("cache-control", "Public")]), Some(60));
    }

    #[test]
    fn request_directives_are_obeyed() {
        let response = headers(&[("cache-control", "public, max-age=60, stale-if-error=5")]);
        let reuse = |said: &[(&'static str, &str)], after: u64, failed| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(after);
            super::reuse(&headers(said), (StatusCode::OK, &response, SystemTime::UNIX_EPOCH), now, failed)
        };
        let cc = |said| [("cache-control", said)];
        assert_eq!(reuse(&[], 10, false), Ok(50));
        for said in ["No-Cache", "max-age=9", "min-fresh=51"] {
            assert_eq!(reuse(&cc(said), 10, false), Err(Forward::Request), "{said}");
        }
        assert_eq!(reuse(&[("pragma", "no-cache")], 10, false), Err(Forward::Request));
        assert_eq!(reuse(&cc("max-age=10, min-fresh=50"), 10, false), Ok(50));
        assert_eq!(reuse(&cc("max-stale"), 61, false), Err(Forward::Stale));
        assert_eq!(reuse(&[], 61, false), Err(Forward::Stale));
        assert_eq!((reuse(&[], 65, true), reuse(&[], 66, true)), (Ok(-5), Err(Forward::Stale)));
        assert_eq!(reuse(&[("pragma", "no-cache")], 65, true), Err(Forward::Stale));
    }
}
