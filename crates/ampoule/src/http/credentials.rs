//! The tokens of a request, from each transport of its layer.

use http::header::{HOST, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};

use super::cookies::Cookies;
use super::transport::Transport;

/// The tokens of a request, unverified, and the host and path that its cookies matched.
pub(crate) struct Credentials {
    pub(crate) cookies: Cookies,
    /// Tokens of other transports, each with the index of its transport.
    others: Vec<(usize, Vec<u8>)>,
    target: Option<Target>,
}

/// The host and path that a request with cookies was sent to.
struct Target {
    host: Option<HeaderValue>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
}

impl Credentials {
    pub(crate) fn of(headers: &HeaderMap, uri: Option<&Uri>, transports: &[Transport]) -> Credentials {
        let mut credentials = Credentials { cookies: Cookies::default(), others: Vec::new(), target: None };
        for (index, transport) in transports.iter().enumerate() {
            if matches!(transport, Transport::Cookie) {
                credentials.cookies = Cookies::of(headers);
            } else {
                credentials.others.extend(transport.tokens(headers).into_iter().map(|token| (index, token)));
            }
        }
        if !credentials.cookies.is_empty() {
            let authority = uri.and_then(Uri::authority).cloned();
            let path = uri.and_then(Uri::path_and_query).cloned();
            credentials.target = Some(Target { host: headers.get(HOST).cloned(), authority, path });
        }
        credentials
    }

    /// Calls `each` with every possible token and the index of its transport, in the order of the transports.
    pub(crate) fn each_token(&self, cookie: &str, transports: &[Transport], mut each: impl FnMut(usize, &[u8])) {
        for (via, transport) in transports.iter().enumerate() {
            if matches!(transport, Transport::Cookie) {
                self.cookies.named(cookie).for_each(|token| each(via, token));
            }
            for (_, token) in self.others.iter().filter(|(index, _)| *index == via) {
                each(via, token);
            }
        }
    }

    /// Whether the client holds a cookie of this name.
    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.cookies.named(name).next().is_some()
    }

    /// The name of the host that the request was sent to, without a port.
    pub(crate) fn host(&self) -> Option<String> {
        let target = self.target.as_ref()?;
        let authority = match &target.authority {
            Some(authority) => authority.clone(),
            None => Authority::try_from(target.host.as_ref()?.as_bytes()).ok()?,
        };
        Some(authority.host().to_ascii_lowercase())
    }

    /// The path that the request was sent to, or `/` if it is unknown.
    pub(crate) fn path(&self) -> &str {
        self.target.as_ref().and_then(|target| target.path.as_ref()).map_or("/", PathAndQuery::path)
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    #[test]
    fn the_host_is_from_the_request_line_or_else_from_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("a=b"));
        headers.insert(HOST, HeaderValue::from_static("Shop.Example:8080"));
        let of = |uri: &'static str| {
            let credentials = Credentials::of(&headers, Some(&Uri::from_static(uri)), &[Transport::Cookie]);
            (credentials.host(), credentials.path().to_owned())
        };
        assert_eq!(of("/a/b?c"), (Some("shop.example".to_owned()), "/a/b".to_owned()));
        assert_eq!(of("http://other.example/x"), (Some("other.example".to_owned()), "/x".to_owned()));
        assert_eq!(Credentials::of(&headers, None, &[Transport::Cookie]).host().as_deref(), Some("shop.example"));
        headers.remove(COOKIE);
        assert_eq!(
            Credentials::of(&headers, None, &[Transport::Cookie]).host(),
            None,
            "without cookies the host is not needed"
        );
    }

    #[test]
    fn tokens_come_in_the_order_of_the_transports() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("sid=1; x=2; sid=3"));
        headers.insert("authorization", HeaderValue::from_static("Bearer 4"));
        let transports = [Transport::Bearer, Transport::Cookie];
        let credentials = Credentials::of(&headers, None, &transports);
        let mut tokens = Vec::new();
        credentials.each_token("sid", &transports, |via, token| tokens.push((via, token.to_vec())));
        assert_eq!(tokens, [(0, b"4".to_vec()), (1, b"1".to_vec()), (1, b"3".to_vec())]);
    }
}
