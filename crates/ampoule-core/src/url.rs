//! A server's URL, with a login that no message prints.

use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind};

/// A server's URL, `scheme://user:password@host:port,host/path?name=value`, split and decoded.
///
/// It is stricter than most parsers. A password with a reserved character that is not percent-encoded could make a part
/// of the password the host, which messages name, so such a URL is refused. No error contains a part of the URL except
/// the name of a parameter; [`Debug`](std::fmt::Debug) prints only the scheme and the location.
///
/// ```
/// use ampoule_core::internal::ServerUrl;
///
/// let url = ServerUrl::parse("postgres://app:p%40ss@db.example:5433/shop", "postgres://user:password@host/database")?;
/// assert_eq!(url.password.as_deref(), Some("p@ss"));
/// assert_eq!(url.location(5432), "db.example:5433/shop");
///
/// let error = ServerUrl::parse("postgres://app:p@ss@db.example/shop", "postgres://user:password@host/database");
/// assert!(error.unwrap_err().to_string().contains("percent-encode"));
/// # Ok::<(), ampoule_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// The scheme, in lower case.
    pub scheme: String,
    /// The name to log in with.
    pub user: Option<String>,
    /// The password to log in with.
    pub password: Option<String>,
    /// The hosts to connect to, in this order.
    pub hosts: Vec<Host>,
    /// The text after the first slash.
    pub path: String,
    /// The parameters that [`take`](ServerUrl::take) has not removed yet.
    pub parameters: Vec<(String, String)>,
}

/// One host of a [`ServerUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address, without the brackets of IPv6.
    pub name: String,
    /// The port, if the URL has one.
    pub port: Option<u16>,
}

impl ServerUrl {
    /// Parses a URL. `expected` is the form that error messages show.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], which says what is invalid and contains no part of the URL.
    pub fn parse(url: &str, expected: &str) -> Result<ServerUrl, Error> {
        let invalid = |why: &str| Error::new(ErrorKind::Config, format!("expected a URL such as {expected}: {why}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no `://`"))?;
        if rest.contains('#') || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid(RESERVED_CHARACTER));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.matches('@').count() > 1 || rest.contains('@') {
            return Err(invalid(RESERVED_CHARACTER));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, at)| (Some(login), at));
        let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(login), None),
        });
        let text = |text: &str| percent_decoded(text).ok_or_else(|| invalid(INVALID_PERCENT));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((text(name)?, text(value)?))
        };
        Ok(ServerUrl {
            scheme: scheme.to_ascii_lowercase(),
            user: user.filter(|user| !user.is_empty()).map(text).transpose()?,
            password: password.map(text).transpose()?,
            hosts: parse_hosts(hosts).ok_or_else(|| invalid(INVALID_HOST))?,
            path: text(path.strip_prefix('/').unwrap_or(path))?,
            parameters: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, Error>>()?,
        })
    }

    /// Removes a parameter that has any of these names, and returns its value; of several, the last one's.
    pub fn take(&mut self, names: &[&str]) -> Option<String> {
        let is_it = |(name, _): &(String, String)| names.contains(&name.as_str());
        let found = self.parameters.iter().rev().find(|pair| is_it(pair)).map(|(_, value)| value.clone());
        self.parameters.retain(|pair| !is_it(pair));
        found
    }

    /// Checks that each remaining parameter is one of these.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for the first unknown one, which suggests the nearest known one.
    pub fn reject_unknown(&self, known: &[&str]) -> Result<(), Error> {
        let Some((name, _)) = self.parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let distance = |known: &&&str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known);
        let nearest = known.iter().min_by_key(distance).filter(|near| distance(near) <= 1 + name.len() / 4);
        let hint = nearest.map_or_else(
            || format!("the known ones are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Err(Error::new(ErrorKind::Config, format!("unknown parameter `{name}` in the URL: {hint}")))
    }

    /// Returns hosts, ports and path, for an operator; a host without a port has `default_port`.
    pub fn location(&self, default_port: u16) -> String {
        let shown = |host: &Host| {
            let brackets = if host.name.contains(':') { ["[", "]"] } else { ["", ""] };
            format!("{}{}{}:{}", brackets[0], host.name, brackets[1], host.port.unwrap_or(default_port))
        };
        let hosts = self.hosts.iter().map(shown).collect::<Vec<_>>().join(",");
        if self.path.is_empty() { hosts } else { format!("{hosts}/{}", self.path) }
    }
}

const RESERVED_CHARACTER: &str = "a character in it must be percent-encoded; in a password write %40 for `@`, %2F for `/`, %3F for `?`, \
                   %23 for `#`, %25 for `%` and %20 for a space";
const INVALID_PERCENT: &str = "a `%` in it is not followed by two hexadecimal digits, or what it encodes is not UTF-8; write %25 \
                       for `%` itself";
const INVALID_HOST: &str = "a host is missing, or its port is not a number from 1 to 65535; a login ends with `@`, and a `/` in a \
                    password must be percent-encoded as %2F";

fn percent_decoded(text: &str) -> Option<String> {
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_encoded) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Returns no hosts for an empty text.
fn parse_hosts(text: &str) -> Option<Vec<Host>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(parse_host).collect()
}

fn parse_host(text: &str) -> Option<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port > 0));
    let name = percent_decoded(name).filter(|name| !name.is_empty())?;
    match port {
        Some(None) => None,
        port => Some(Host { name, port: port.flatten() }),
    }
}

impl std::fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerUrl({}://{})", self.scheme, self.location(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "db://user:password@host/database";

    #[test]
    fn a_url_is_split_and_decoded() {
        let mut url =
            ServerUrl::parse("DB://a%40b:c:%2F%3f%23@h:1,[::1]:2,%2Frun/d%20e?x=1&y=%41&x=2", EXPECTED).unwrap();
        assert_eq!(
            (url.scheme.as_str(), url.user.as_deref(), url.password.as_deref()),
            ("db", Some("a@b"), Some("c:/?#"))
        );
        assert_eq!(url.location(9), "h:1,[::1]:2,/run:9/d e");
        assert_eq!(
            (url.take(&["x"]), url.take(&["x"]), url.take(&["z", "y"])),
            (Some("2".into()), None, Some("A".into()))
        );
        let bare = ServerUrl::parse("db:///d?host=h", EXPECTED).unwrap();
        assert_eq!((bare.hosts.len(), bare.path.as_str()), (0, "d"));
    }

    #[test]
    fn a_password_with_a_raw_character_is_refused_and_not_shown() {
        let hidden = ["hunter", "2x", "app"];
        for raw in ["@", "/", "?", "#", "/#?", "%", "%4g", " ", ":@", "\n"] {
            let url = format!("db://app:hunter{raw}2x@host/database");
            let error = ServerUrl::parse(&url, EXPECTED).unwrap_err();
            assert!(error.to_string().contains("percent-encode") || raw.contains('%'), "{raw}: {error}");
            assert!(!hidden.iter().any(|part| error.to_string().contains(part)), "{raw}: {error}");
        }
        for url in ["app:hunter2x@host", "db://app:hunter2x", "db://app:hunter2x/database", "hunter2x"] {
            let error = ServerUrl::parse(url, EXPECTED).unwrap_err();
            assert!(!hidden.iter().any(|part| error.to_string().contains(part)), "{url}: {error}");
        }
        let url = ServerUrl::parse("db://app:hunter2x@host/d", EXPECTED).unwrap();
        assert_eq!(format!("{url:?}"), "ServerUrl(db://host:0/d)");
    }

    #[test]
    fn an_unknown_parameter_suggests_the_nearest() {
        let url = ServerUrl::parse("db://h/d?sslmod=x", EXPECTED).unwrap();
        let error = url.reject_unknown(&["sslmode", "host"]).unwrap_err().to_string();
        assert_eq!(error, "unknown parameter `sslmod` in the URL: did you mean `sslmode`?");
        assert!(url.reject_unknown(&["sslmod"]).is_ok());
    }
}
