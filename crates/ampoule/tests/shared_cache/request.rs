//! Random requests: of two users, of a stranger, and of an attacker who chooses every byte.

use http::{HeaderName, HeaderValue, Request};

use crate::random::Random;
use crate::site::World;

#[derive(Clone, Debug)]
pub(crate) struct RequestSpec {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: &'static str,
    pub(crate) nonce: String,
}

const PATHS: [&str; 16] = [
    "/b/page",
    "/a/page/",
    "//a/page",
    "/a//page",
    "/%61/page",
    "/a/p%61ge",
    "/a%2Fpage",
    "/A/page",
    "/a/PAGE",
    "/page",
    "/a/page/x.css",
    "/a/page;x=1",
    "/a/x/page",
    "/b/x/page",
    "/a/./page",
    "/",
];
const QUERIES: [&str; 8] = ["?", "?p=1", "?%70=1", "?p=2&p=1", "?P=1", "?utm=1&p=1", "?p=1;q=2", "?_method=DELETE"];
const AUTHORITIES: [&str; 6] = [
    "http://site.test",
    "http://SITE.test",
    "https://site.test",
    "http://evil.test",
    "http://u@site.test",
    "http://site.test:80",
];

/// What an attacker, or a careless proxy, adds to a request.
const HEADERS: [(&str, &str); 38] = [
    ("host", "evil.test"),
    ("host", "SITE.test"),
    ("host", "site.test:80"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-host", ""),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-prefix", "/evil"),
    ("x-host", "evil.test"),
    ("x-original-url", "/evil"),
    ("x-rewrite-url", "/evil"),
    ("forwarded", "host=evil.test"),
    ("origin", "https://evil.test"),
    ("x-http-method-override", "POST"),
    ("x-method-override", "POST"),
    ("accept", "text/html"),
    ("accept", "evil/evil"),
    ("accept-encoding", "gzip"),
    ("accept-encoding", "br, evil"),
    ("accept-language", "de"),
    ("user-agent", "evil"),
    ("range", "bytes=0-1"),
    ("if-range", "\"x\""),
    ("if-none-match", "*"),
    ("if-none-match", "\"x\""),
    ("if-match", "\"x\""),
    ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("authorization", "Bearer evil"),
    ("upgrade", "websocket"),
    ("cache-control", "no-cache"),
    ("cache-control", "max-age=5"),
    ("cache-control", "max-stale"),
    ("cache-control", "only-if-cached"),
    ("cache-control", "no-store"),
    ("pragma", "no-cache"),
    ("content-length", "0"),
    ("expect", "100-continue"),
    ("connection", "close, x-forwarded-host"),
];

/// One thing that an attacker does to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    Path(&'static str),
    Query(&'static str),
    Authority(&'static str),
    Body,
    NoHost,
    Cookie(&'static str),
    /// The cookie of a user: it was planted, or stolen for a moment.
    CookieOf(usize),
    Header(&'static str, &'static str),
}

impl Attack {
    pub(crate) fn random(random: &mut Random) -> Attack {
        match random.below(12) {
            0 | 1 => Attack::Path(random.pick(&PATHS)),
            2 => Attack::Query(random.pick(&QUERIES)),
            3 | 4 => Attack::Authority(random.pick(&AUTHORITIES)),
            5 => Attack::Body,
            6 => Attack::NoHost,
            7 => Attack::Cookie(random.pick(&["evil", "sid=", "a=b; c=d"])),
            8 => Attack::CookieOf(random.below(2)),
            _ => {
                let (name, value) = random.pick(&HEADERS);
                Attack::Header(name, value)
            }
        }
    }
}

impl RequestSpec {
    pub(crate) fn random(random: &mut Random, world: &World) -> RequestSpec {
        let mut headers = vec![("host", "site.test".to_owned())];
        let mut asked = RequestSpec {
            method: "GET",
            uri: "/a/page".to_owned(),
            headers: Vec::new(),
            body: "",
            nonce: world.nonce().to_string(),
        };
        match random.below(5) {
            0 => headers.push(("cookie", world.users[0].clone())),
            1 => headers.push(("cookie", world.users[1].clone())),
            2 => {}
            _ => {
                for _ in 0..1 + random.below(2) {
                    asked.attack(random.pick(&world.attacks), world, &mut headers);
                }
            }
        }
        // Also a request as of a user.
        if random.one_in(3) && asked.uri == "/a/page" {
            asked.uri = random.pick(&["/b/page", "/a/page?p=1", "/a/x/page"]).to_owned();
        }
        if random.one_in(4) {
            headers.push(random.pick(&[("accept", "text/html"), ("accept-encoding", "gzip")]).map_value());
        }
        if random.one_in(12) {
            asked.method = random.pick(&["HEAD", "HEAD", "POST"]);
        }
        headers.push(("x-nonce", asked.nonce.clone()));
        asked.headers = headers;
        asked
    }

    fn attack(&mut self, attack: Attack, world: &World, headers: &mut Vec<(&'static str, String)>) {
        match attack {
            Attack::Path(path) => self.uri = path.to_owned(),
            Attack::Query(query) if !self.uri.contains('?') => self.uri.push_str(query),
            Attack::Authority(authority) if self.uri.starts_with('/') => self.uri.insert_str(0, authority),
            Attack::Query(_) | Attack::Authority(_) => {}
            Attack::Body => self.body = "evil",
            Attack::NoHost => headers.retain(|(name, _)| *name != "host"),
            Attack::Cookie(cookie) => headers.push(("cookie", cookie.to_owned())),
            Attack::CookieOf(user) => headers.push(("cookie", world.users[user].clone())),
            Attack::Header(name, value) => headers.push((name, value.to_owned())),
        }
    }

    pub(crate) fn build<B: From<&'static str>>(&self) -> Request<B> {
        let mut request = Request::builder().method(self.method).uri(&self.uri).body(B::from(self.body)).unwrap();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        request
    }

    /// All values of one header.
    pub(crate) fn header(&self, wanted: &str) -> Vec<&str> {
        self.headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| value.as_str()).collect()
    }
}

trait MapValue {
    fn map_value(self) -> (&'static str, String);
}

impl MapValue for (&'static str, &'static str) {
    fn map_value(self) -> (&'static str, String) {
        (self.0, self.1.to_owned())
    }
}
