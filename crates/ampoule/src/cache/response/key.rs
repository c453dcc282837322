//! The keys of stored responses, and the requests that bypass the cache.

use ampoule_core::StoreKey;
use axum::extract::OriginalUri;
use axum_core::body::Body;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, PROXY_AUTHORIZATION, RANGE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri};
use http_body::Body as _;

use super::policy;
use super::status::Forward;
use crate::session::touch_probe::TouchProbe;

/// The target URI (RFC 9110 section 7.1) as the client sent it, in the extensions of a request whose URI was changed
/// since. A layer that rewrites URIs places it, unless it is there already; axum's `Router::nest` places an
/// `OriginalUri`, which is used too. [`CacheLayer`](crate::cache::CacheLayer) places it, so that layers inside it may
/// rewrite URIs freely.
///
/// ```
/// use ampoule::cache::TargetUri;
///
/// fn strip_tenant<B>(request: &mut http::Request<B>, rest: http::Uri) {
///     TargetUri::keep(request);
///     *request.uri_mut() = rest;
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri(pub Uri);

impl TargetUri {
    /// Places the request's URI into its extensions, unless there is one. Call it before changing the URI.
    pub fn keep<B>(request: &mut Request<B>) {
        if request.extensions().get::<TargetUri>().is_none() {
            let uri = request.uri().clone();
            request.extensions_mut().insert(TargetUri(uri));
        }
    }
}

/// Header fields whose requests bypass the cache: they are not answered from stored responses, and their responses are
/// not stored. They are credentials, ranges, preconditions for the handler (RFC 9111 section 4.3.2), upgrades, and
/// bodies.
const BYPASSING: [HeaderName; 9] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
    UPGRADE,
    EXPECT,
    TRANSFER_ENCODING,
];

/// Parts of the names of further header fields with credentials: a session's own transport, and what a proxy reports of
/// the client that it has authenticated.
const CREDENTIALS: [&str; 8] =
    ["auth", "token", "session", "api-key", "remote-user", "x-user", "client-cert", "identity"];

/// Why a request bypasses the cache; `None` if it does not.
pub(super) fn bypass(request: &Request<Body>) -> Option<Forward> {
    let headers = request.headers();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(Forward::Method);
    }
    let has_body =
        !request.body().is_end_stream() || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    // Such as X-HTTP-Method-Override: the handler may see another method.
    let is_other = |name: &str| name.contains("method") || CREDENTIALS.iter().any(|word| name.contains(word));
    let is_other = headers.keys().any(|name| is_other(name.as_str()));
    let is_bypassing = BYPASSING.iter().any(|name| headers.contains_key(name));
    // A response cache further out decides.
    let is_inside = TouchProbe::of(request.extensions()).is_some();
    if has_body || is_other || is_bypassing || is_inside || follows_failure(request) {
        return Some(Forward::Bypass);
    }
    policy::forbids_storing(headers).then_some(Forward::Request)
}

/// Whether the request is for an error page, whose content depends on another request.
#[cfg(feature = "error-pages")]
fn follows_failure(request: &Request<Body>) -> bool {
    request.extensions().get::<crate::error_pages::FailedRequest>().is_some()
}

#[cfg(not(feature = "error-pages"))]
fn follows_failure(_: &Request<Body>) -> bool {
    false
}

/// The primary key: the target URI as the client sent it and as the handler sees it, with all header fields that may
/// replace a part of it, byte for byte. Requests with cookies and requests without share no key, so that responses that
/// depend on cookies neither reach clients without cookies nor keep their responses from being stored.
pub(super) fn primary(parts: &Parts) -> String {
    let target = parts.extensions.get().map(|TargetUri(uri)| uri);
    let original = parts.extensions.get().map(|OriginalUri(uri)| uri);
    let mut key = String::new();
    for uri in [target, original, Some(&parts.uri)] {
        let pieces = uri.map(|uri| (uri.scheme_str(), uri.authority().map(|to| to.as_str()), uri.path(), uri.query()));
        key.push_str(&format!("{pieces:?}\n"));
    }
    key.push_str(if parts.headers.contains_key(COOKIE) { "cookies" } else { "no cookies" });
    let mut names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).filter(|name| is_of_target(name)).collect();
    names.sort_unstable();
    key + &selecting(&names, &parts.headers)
}

/// Whether applications and frameworks take a part of the URI from this header field: the "unkeyed input" of cache
/// poisoning (J. Kettle, Practical Web Cache Poisoning, 2018). The client's own address is not a part.
fn is_of_target(name: &str) -> bool {
    const WORDS: &str = "host forwarded origin rewrite override scheme proto prefix path url uri script-name https ssl";
    !name.ends_with("forwarded-for") && WORDS.split(' ').any(|word| name.contains(word))
}

/// The key of a response that these header fields select, too (RFC 9111 section 4.1).
pub(super) fn variant(primary: &str, names: &[String], headers: &HeaderMap) -> String {
    format!("{primary}\nvary{}", selecting(names, headers))
}

/// The values of these header fields of a request, one per line: no value contains a line end, and non-ASCII bytes are
/// escaped.
fn selecting(names: &[impl AsRef<str>], headers: &HeaderMap) -> String {
    let mut text = String::new();
    for name in names.iter().map(AsRef::as_ref) {
        text.push_str(&format!("\n{name}"));
        for value in headers.get_all(name) {
            text.push_str(&format!("\n: {}", value.as_bytes().escape_ascii()));
        }
    }
    text
}

/// A digest of the values of these header fields of a request, for comparison.
pub(super) fn selection(names: &[String], headers: &HeaderMap) -> String {
    StoreKey::digest(selecting(names, headers).as_bytes()).to_string()
}

/// The tag of all responses for a target URI, by which an unsafe request invalidates them.
pub(super) fn tag(namespace: &str, parts: &Parts) -> String {
    let uri = match (parts.extensions.get(), parts.extensions.get()) {
        (Some(TargetUri(uri)), _) | (None, Some(OriginalUri(uri))) => uri,
        _ => &parts.uri,
    };
    let host = parts.headers.get(HOST).map(|host| host.as_bytes());
    let host = uri.authority().map(|authority| authority.as_str().as_bytes()).or(host).unwrap_or_default();
    let host = host.to_ascii_lowercase();
    format!("responses of {namespace}: {} {:?}", host.escape_ascii(), uri.path_and_query())
}

/// The head of a request without its conditions, for the whole response.
pub(super) fn unconditional(parts: &Parts) -> Parts {
    let mut parts = parts.clone();
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        parts.headers.remove(name);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(request: http::request::Builder) -> String {
        primary(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn every_visible_difference_of_the_target_changes_the_key() {
        let requests = [
            Request::get("/x"),
            Request::get("/x?"),
            Request::get("/x?q"),
            Request::get("/x?q="),
            Request::get("/x?%71"),
            Request::get("/X"),
            Request::get("/%78"),
            Request::get("/x/"),
            Request::get("//x"),
            Request::get("http://a.test/x"),
            Request::get("http://A.test/x"),
            Request::get("https://a.test/x"),
            Request::get("http://a.test:80/x"),
            Request::get("http://u@a.test/x"),
            Request::get("http://a.test/x").header("host", "b.test"),
            Request::get("/x").header("host", "a.test"),
            Request::get("/x").header("host", "a.TEST"),
            Request::get("/x").header("host", "a.test").header("host", "b.test"),
            Request::get("/x").header("host", "b.test").header("host", "a.test"),
            Request::get("/x").header("x-forwarded-host", "a.test"),
            Request::get("/x").header("x-original-url", "/y"),
            Request::get("/x").header("forwarded", "host=a.test"),
            Request::get("/x").header("origin", "https://a.test"),
            Request::get("/x").header("cookie", "a"),
            Request::get("/x").extension(TargetUri("/t/x".parse().unwrap())),
            Request::get("/x").extension(OriginalUri("/t/x".parse().unwrap())),
        ];
        let keys: Vec<String> = requests.into_iter().map(key).collect();
        for (index, one) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == one), Some(index), "{one}");
        }
    }

    #[test]
    fn common_header_fields_do_not_keep_a_request_from_its_stored_response() {
        let (mut plain, mut usual) = (Request::get("/x"), Request::get("/x"));
        plain = plain.header("host", "a.test");
        for (name, value) in [
            ("host", "a.test"),
            ("user-agent", "Mozilla/5.0"),
            ("accept", "*/*"),
            ("accept-language", "en"),
            ("sec-fetch-user", "?1"),
            ("sec-fetch-site", "none"),
            ("sec-ch-ua-platform", "Linux"),
            ("upgrade-insecure-requests", "1"),
            ("priority", "u=0"),
            ("referer", "http://a.test/"),
            ("if-none-match", "\"x\""),
            ("x-forwarded-for", "127.0.0.9"),
            ("x-real-ip", "127.0.0.9"),
            ("traceparent", "00-1-2-01"),
            ("x-request-id", "7"),
        ] {
            usual = usual.header(name, value);
        }
        let (plain, usual) = (plain.body(Body::empty()).unwrap(), usual.body(Body::empty()).unwrap());
        assert_eq!((bypass(&plain), bypass(&usual)), (None, None));
        assert_eq!(primary(&plain.into_parts().0), primary(&usual.into_parts().0));
    }

    #[test]
    fn header_fields_with_credentials_bypass_the_cache() {
        for name in
            ["authorization", "x-api-key", "x-session-id", "x-auth-user", "x-remote-user", "x-amzn-oidc-identity"]
        {
            let request = Request::get("/x").header(name, "ada").body(Body::empty()).unwrap();
            assert_eq!(bypass(&request), Some(Forward::Bypass), "{name}");
        }
    }

    #[test]
    fn header_fields_do_not_run_into_each_other() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            selection(&["a".to_owned(), "b".to_owned()], &headers.collect())
        };
        assert_ne!(of(&[("a", "x, y")]), of(&[("a", "x"), ("a", "y")]));
        assert_ne!(of(&[("a", "x\tb: y")]), of(&[("a", "x"), ("b", "y")]));
        assert_ne!(of(&[("a", "")]), of(&[]));
        assert_ne!(of(&[("a", "x")]), of(&[("b", "x")]));
    }
}
