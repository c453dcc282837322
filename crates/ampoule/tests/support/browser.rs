//! A browser that keeps the scope of each cookie (RFC 6265 section 5).

use axum::Router;

use super::{Answer, Client};

/// A browser at one host.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    host: &'static str,
    pub(crate) cookies: Vec<Cookie>,
}

/// A cookie and its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// `None` for the host alone.
    pub(crate) domain: Option<String>,
    pub(crate) path: String,
}

impl Cookie {
    /// A cookie as a sibling domain, or a former setting, left it.
    pub(crate) fn new(value: &str, domain: Option<&str>, path: &str) -> Cookie {
        let domain = domain.map(str::to_owned);
        Cookie { name: "sid".into(), value: value.into(), domain, path: path.into() }
    }

    fn goes_to(&self, host: &str, path: &str) -> bool {
        let domain = self.domain.as_deref();
        let is_of_host = domain
            .is_none_or(|domain| host == domain || host.strip_suffix(domain).is_some_and(|below| below.ends_with('.')));
        let below = path.strip_prefix(&self.path);
        let is_of_path =
            below.is_some_and(|below| below.is_empty() || self.path.ends_with('/') || below.starts_with('/'));
        is_of_host && is_of_path
    }

    fn is_same_place(&self, other: &Cookie) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }
}

impl Browser {
    pub(crate) fn new(app: &Router, host: &'static str) -> Browser {
        let client = Client { app: app.clone(), jar: Default::default(), base_url: format!("http://{host}") };
        Browser { client, host, cookies: Vec::new() }
    }

    /// Switches to another application at the same host.
    pub(crate) fn at(self, app: &Router) -> Browser {
        Browser { client: Client { app: app.clone(), ..self.client }, ..self }
    }

    pub(crate) fn plant(&mut self, cookie: Cookie) {
        self.cookies.retain(|other| !other.is_same_place(&cookie));
        self.cookies.push(cookie);
    }

    /// What a request to this path carries: those with longer paths first, then in the order in which they were set.
    pub(crate) fn header(&self, path: &str) -> String {
        let mut sent: Vec<&Cookie> = self.cookies.iter().filter(|cookie| cookie.goes_to(self.host, path)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str) -> Answer {
        let answer = self.client.ask(method, path, self.header(path)).await;
        for text in answer.set_cookies() {
            let mut parts = text.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let of = |wanted: &str| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
            let cookie = Cookie {
                name: name.to_owned(),
                value: value.to_owned(),
                domain: of("Domain").map(str::to_owned),
                path: of("Path").unwrap_or("/").to_owned(),
            };
            // A domain that is not the host's own or above it, and a public suffix, a browser refuses.
            let is_allowed = cookie.goes_to(self.host, &cookie.path) && cookie.domain.as_deref() != Some("test");
            if !is_allowed {
                continue;
            }
            self.cookies.retain(|other| !other.is_same_place(&cookie));
            if of("Max-Age") != Some("0") {
                self.cookies.push(cookie);
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send("POST", path).await
    }

    pub(crate) async fn value(&mut self, key: &str) -> String {
        self.get(&format!("/get/{key}")).await.text
    }
}
