//! The cookies of one browser, kept and sent as RFC 6265bis says.

use ampoule::Time;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The domain of the cookie, or the host that set it.
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    expires: Option<Time>,
    /// Which of the cookies was the first: a new value under the same name, domain and path keeps its place.
    created: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Cookie>,
    count: u64,
}

/// Whether a host is a domain, or below it (section 5.1.3).
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'))
}

/// Whether a path is a cookie's path, or below it (section 5.1.4).
fn path_matches(path: &str, of_cookie: &str) -> bool {
    path == of_cookie
        || path.strip_prefix(of_cookie).is_some_and(|rest| of_cookie.ends_with('/') || rest.starts_with('/'))
}

/// The path of a cookie that names none: the folder of the request's path (section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &path[..end],
    }
}

impl Cookie {
    /// What a host says in a Set-Cookie header (section 5.6), unless it must be ignored.
    fn parse(host: &str, path: &str, header: &str, now: Time) -> Option<Cookie> {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.to_owned(),
            host_only: true,
            path: default_path(path).to_owned(),
            secure: false,
            expires: None,
            created: 0,
        };
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            match attribute.to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    // A domain without a dot is a public suffix.
                    if !domain_matches(host, &domain) || !domain.contains('.') {
                        return None;
                    }
                    (cookie.domain, cookie.host_only) = (domain, false);
                }
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                // Expires is for browsers that do not know Max-Age.
                "max-age" => cookie.expires = Some(now + std::time::Duration::from_secs(value.parse().unwrap_or(0))),
                _ => {}
            }
        }
        let is_bound = cookie.secure && cookie.host_only && cookie.path == "/";
        let is_refused = cookie.name.to_ascii_lowercase().starts_with("__host-") && !is_bound;
        (!is_refused).then_some(cookie)
    }

    fn is_same(&self, other: &Cookie) -> bool {
        let key = |cookie: &Cookie| (cookie.name.clone(), cookie.domain.clone(), cookie.host_only, cookie.path.clone());
        key(self) == key(other)
    }

    fn is_sent_to(&self, host: &str, path: &str) -> bool {
        let matches = if self.host_only { self.domain == host } else { domain_matches(host, &self.domain) };
        matches && path_matches(path, &self.path)
    }
}

impl Jar {
    /// Takes a Set-Cookie header of a response from this host, for a request of this path.
    pub(crate) fn receive(&mut self, host: &str, path: &str, header: &str, now: Time) {
        let Some(mut cookie) = Cookie::parse(host, path, header, now) else { return };
        let old = self.cookies.iter().position(|other| other.is_same(&cookie));
        cookie.created = match old {
            Some(at) => self.cookies.remove(at).created,
            None => self.count,
        };
        self.count += 1;
        if cookie.expires.is_none_or(|expires| expires > now) {
            self.cookies.push(cookie);
        }
    }

    /// The cookies that go with a request: those of longer paths first, then those that were there first (section
    /// 5.8.3).
    pub(crate) fn sent(&self, host: &str, path: &str, now: Time) -> Vec<&Cookie> {
        let is_fresh = |cookie: &&Cookie| cookie.expires.is_none_or(|expires| expires > now);
        let mut cookies: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.is_sent_to(host, path)).filter(is_fresh).collect();
        cookies.sort_by_key(|cookie| (std::cmp::Reverse(cookie.path.len()), cookie.created));
        cookies
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);

    fn sent(jar: &Jar, host: &str, path: &str) -> Vec<String> {
        jar.sent(host, path, NOW).iter().map(|cookie| cookie.value.clone()).collect()
    }

    #[test]
    fn a_cookie_is_sent_according_to_domain_and_path() {
        let mut jar = Jar::default();
        jar.receive("a.example.com", "/x/y", "sid=host; Path=/; Secure", NOW);
        jar.receive("a.example.com", "/x/y", "sid=domain; Domain=.Example.com; Path=/", NOW);
        jar.receive("a.example.com", "/x/y", "sid=folder", NOW);
        assert_eq!(sent(&jar, "a.example.com", "/x/y/z"), ["folder", "host", "domain"]);
        assert_eq!(sent(&jar, "a.example.com", "/xy"), ["host", "domain"]);
        for host in ["example.com", "b.example.com", "c.a.example.com"] {
            assert_eq!(sent(&jar, host, "/x/y"), ["domain"], "{host}");
        }
        assert_eq!(sent(&jar, "badexample.com", "/"), [""; 0]);
    }

    #[test]
    fn cookies_that_a_host_may_not_set_are_ignored() {
        let mut jar = Jar::default();
        for header in [
            "sid=1; Domain=b.example.com",
            "sid=1; Domain=other.com",
            "sid=1; Domain=com",
            "__Host-sid=1; Secure; Path=/; Domain=example.com",
            "__host-sid=1; Secure; Path=/x",
            "__Host-sid=1; Path=/",
            "sid",
        ] {
            jar.receive("a.example.com", "/", header, NOW);
        }
        assert_eq!(jar.cookies, []);
    }

    #[test]
    fn a_value_is_replaced_in_place_and_removed_when_expired() {
        let mut jar = Jar::default();
        jar.receive("a.com", "/", "sid=1; Path=/", NOW);
        jar.receive("a.com", "/", "sid=2; Path=/; Domain=a.com", NOW);
        jar.receive("a.com", "/", "sid=3; Path=/; Max-Age=5", NOW);
        assert_eq!(sent(&jar, "a.com", "/"), ["3", "2"]);
        assert_eq!(jar.sent("a.com", "/", NOW + Duration::from_secs(5)).len(), 1);
        jar.receive("a.com", "/", "sid=; Path=/; Max-Age=0; Domain=a.com", NOW);
        assert_eq!(sent(&jar, "a.com", "/"), ["3"]);
    }
}
