//! How a session's token travels between client and server: in a cookie, or without one.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};

/// One way for a session's token to travel.
///
/// [`Options::transports`](crate::Options::transports) lists the transports that a layer tries, in order: the first
/// with the token of a live session counts. The response uses the same transport, and a new session uses the first. On
/// every transport only tokens that this server signed are looked up, and a client's token never becomes a session's
/// (promise P3).
///
/// ```
/// use ampoule::{Options, Transport};
///
/// // Browsers by cookie, programs by `Authorization: Bearer`.
/// let options = Options { transports: vec![Transport::Cookie, Transport::Bearer], ..Options::default() };
/// ```
///
/// Browsers attach cookies by themselves, also to requests that other sites make. They do not do so with the other
/// transports, which therefore need no secure forms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The session's cookie: the only transport by default.
    Cookie,
    /// `Authorization: Bearer TOKEN` (RFC 6750 section 2.1). The response carries no token: the handler that logs a
    /// client in returns [`Session::token`](crate::Session::token), and again after
    /// [`regenerate_id`](crate::Session::regenerate_id).
    Bearer,
    /// A header of this name, such as `X-Session-Id`, with the token as its value. A response that creates a session or
    /// rotates its token carries the header too.
    Header(HeaderName),
    /// A function of the application that finds the token in the request's headers. The response carries no token.
    Function(FindToken),
}

impl Transport {
    /// Creates a transport from a function that gets the request's headers and returns the token, if there is one.
    ///
    /// The function runs for each request, even if the session is not touched, so it should be quick.
    ///
    /// ```
    /// use ampoule::Transport;
    ///
    /// let transport = Transport::function(|headers| {
    ///     headers.get("x-device")?.to_str().ok()?.strip_prefix("session ").map(str::to_owned)
    /// });
    /// ```
    pub fn function(find: impl Fn(&HeaderMap) -> Option<String> + Send + Sync + 'static) -> Transport {
        Transport::Function(FindToken(Arc::new(find)))
    }

    /// Whether browsers attach the token by themselves; assumed of a function, which may read cookies.
    #[cfg(feature = "forms")]
    pub(crate) fn is_ambient(&self) -> bool {
        matches!(self, Transport::Cookie | Transport::Function(_))
    }

    /// The header that a response depends on: `*` if it is unknown.
    pub(crate) fn vary(&self) -> HeaderValue {
        match self {
            Transport::Cookie => HeaderValue::from_static("Cookie"),
            Transport::Bearer => HeaderValue::from_static("Authorization"),
            Transport::Header(name) => name.clone().into(),
            Transport::Function(_) => HeaderValue::from_static("*"),
        }
    }

    /// The tokens that a request carries on this transport; cookies are read elsewhere.
    pub(super) fn tokens(&self, headers: &HeaderMap) -> Vec<Vec<u8>> {
        match self {
            Transport::Cookie => Vec::new(),
            Transport::Bearer => {
                headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes())).collect()
            }
            Transport::Header(name) => headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect(),
            Transport::Function(find) => (find.0)(headers).map(String::into_bytes).into_iter().collect(),
        }
    }
}

/// The credentials of the scheme `Bearer`, whose name is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, token) = value.split_at_checked(6)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && token.starts_with(b" ");
    is_bearer.then(|| token.trim_ascii().to_vec())
}

/// A function that finds a session's token in a request. See [`Transport::function`].
#[derive(Clone)]
pub struct FindToken(Arc<Find>);

type Find = dyn Fn(&HeaderMap) -> Option<String> + Send + Sync;

impl fmt::Debug for FindToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FindToken")
    }
}

/// Equal if both are the same function object.
impl PartialEq for FindToken {
    fn eq(&self, other: &FindToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for FindToken {}

/// Reads transports from settings: `cookie, bearer, header X-Session-Id`.
pub(crate) fn parse(text: &str) -> Option<Vec<Transport>> {
    let one = |word: &str| match word.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [word] if word.eq_ignore_ascii_case("cookie") => Some(Transport::Cookie),
        [word] if word.eq_ignore_ascii_case("bearer") => Some(Transport::Bearer),
        [word, name] if word.eq_ignore_ascii_case("header") => name.parse().ok().map(Transport::Header),
        _ => None,
    };
    let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
    words.map(one).collect::<Option<Vec<_>>>().filter(|transports| !transports.is_empty())
}

/// Returns what is wrong with a list of transports.
pub(crate) fn fault(transports: &[Transport]) -> Option<String> {
    let forbidden = |transport: &Transport| match transport {
        Transport::Header(name) if *name == COOKIE || *name == AUTHORIZATION => Some(name.clone()),
        _ => None,
    };
    if let Some(name) = transports.iter().find_map(forbidden) {
        return Some(format!("the header {name} has its own transport: write cookie or bearer"));
    }
    let twice = transports.iter().enumerate().find(|(index, transport)| transports[..*index].contains(transport));
    twice.map(|(_, transport)| format!("duplicate transport {transport:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_scheme_is_case_insensitive() {
        assert_eq!(bearer(b"Bearer abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bEARER   abc ").as_deref(), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearerabc", b"Bear", b"", b"Bearer"] {
            assert_eq!(bearer(other), None, "{other:?}");
        }
    }

    #[test]
    fn transports_are_read_from_settings() {
        let header = Transport::Header(HeaderName::from_static("x-session-id"));
        assert_eq!(parse("bearer"), Some(vec![Transport::Bearer]));
        assert_eq!(
            parse("Cookie, Bearer,\nheader X-Session-Id"),
            Some(vec![Transport::Cookie, Transport::Bearer, header])
        );
        for wrong in ["", "jwt", "header", "header a b", "cookie bearer", "header x:y"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn duplicate_transports_and_headers_of_other_transports_are_refused() {
        assert_eq!(fault(&[Transport::Cookie, Transport::Bearer]), None);
        assert!(fault(&[Transport::Bearer, Transport::Bearer]).is_some());
        assert!(fault(&[Transport::Header(AUTHORIZATION)]).is_some());
    }
}
