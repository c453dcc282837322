//! The cookies of a second request: those that a browser would send after the first response.

use cookie::Cookie;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// Applies the cookies that a response sets to the headers of a following request to this path.
pub(super) fn apply(response: &HeaderMap, request: &mut HeaderMap, path: &str) {
    for cookie in set_cookies(response) {
        if !is_sent_to(cookie.path().unwrap_or("/"), path) {
            continue;
        }
        let mut pairs = other_pairs(request, cookie.name().as_bytes());
        if !is_removal(&cookie) {
            pairs.push(format!("{}={}", cookie.name(), cookie.value()).into_bytes());
        }
        request.remove(COOKIE);
        if let Ok(header) = HeaderValue::from_bytes(&pairs.join(&b"; "[..]))
            && !pairs.is_empty()
        {
            request.insert(COOKIE, header);
        }
    }
}

/// The cookies of an earlier response that a later one does not set (RFC 6265 section 4.1.1: each name once).
pub(super) fn not_set_again(earlier: &HeaderMap, later: &HeaderMap) -> Vec<HeaderValue> {
    let same = |one: &Cookie<'_>, other: &Cookie<'_>| {
        (one.name(), one.domain(), one.path()) == (other.name(), other.domain(), other.path())
    };
    let is_left = |value: &&HeaderValue| {
        let Some(cookie) = parse(value) else { return true };
        !set_cookies(later).any(|other| same(&cookie, &other))
    };
    earlier.get_all(SET_COOKIE).iter().filter(is_left).cloned().collect()
}

fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers.get_all(SET_COOKIE).iter().filter_map(parse)
}

fn parse(value: &HeaderValue) -> Option<Cookie<'_>> {
    Cookie::parse(value.to_str().ok()?).ok()
}

fn is_removal(cookie: &Cookie<'_>) -> bool {
    cookie.max_age().is_some_and(|age| !age.is_positive())
}

/// RFC 6265 section 5.1.4.
fn is_sent_to(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

fn other_pairs(headers: &HeaderMap, name: &[u8]) -> Vec<Vec<u8>> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let is_other = |pair: &&[u8]| pair.split(|byte| *byte == b'=').next().is_none_or(|of| of.trim_ascii() != name);
    pairs.filter(is_other).map(|pair| pair.trim_ascii().to_vec()).filter(|pair| !pair.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie_after(before: &str, set: &[&str]) -> Option<String> {
        let (mut response, mut request) = (HeaderMap::new(), HeaderMap::new());
        for cookie in set {
            response.append(SET_COOKIE, cookie.parse().unwrap());
        }
        if !before.is_empty() {
            request.insert(COOKIE, before.parse().unwrap());
        }
        apply(&response, &mut request, "/error/document");
        request.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_following_request_sends_the_cookies_that_were_set() {
        assert_eq!(cookie_after("", &["sid=1; Path=/"]).as_deref(), Some("sid=1"));
        assert_eq!(cookie_after("a=b; sid=0", &["sid=1; HttpOnly", "c=d"]).as_deref(), Some("a=b; sid=1; c=d"));
        assert_eq!(cookie_after("a=b;sid=0", &["sid=; Max-Age=0"]).as_deref(), Some("a=b"));
        assert_eq!(cookie_after("sid=0", &["sid=; Max-Age=0"]), None);
        assert_eq!(cookie_after("a=b", &["sid=1; Path=/admin"]).as_deref(), Some("a=b"));
        assert_eq!(cookie_after("a=b", &["sid=1; Path=/error"]).as_deref(), Some("a=b; sid=1"));
        assert_eq!(cookie_after("a=b", &["sid=1; Path=/err"]).as_deref(), Some("a=b"));
    }

    #[test]
    fn a_cookie_is_set_once() {
        let (mut first, mut second) = (HeaderMap::new(), HeaderMap::new());
        for cookie in ["sid=1; Path=/", "other=1", "sid=1; Path=/admin"] {
            first.append(SET_COOKIE, cookie.parse().unwrap());
        }
        second.insert(SET_COOKIE, "sid=2; Path=/".parse().unwrap());
        assert_eq!(not_set_again(&first, &second), ["other=1", "sid=1; Path=/admin"]);
    }
}
