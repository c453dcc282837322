//! The addresses of the servers, parsed from a URL.

use ampoule_core::{Error, ErrorKind};

const DEFAULT_PORT: u16 = 11_211;

/// Returns the servers of a URL, sorted, each as `host:port` or as the path of a socket.
pub(crate) fn parse(url: &str) -> Result<Vec<String>, Error> {
    let mut servers = match url.split_once("://") {
        Some(("memcached", hosts)) => {
            let hosts = hosts.trim_end_matches('/').split(',');
            hosts.map(|host| canonical_address(host.trim()).ok_or_else(invalid_url)).collect::<Result<Vec<_>, _>>()?
        }
        Some(("memcached+unix", path)) if path.len() > 1 && path.starts_with('/') && !path.contains('?') => {
            vec![path.to_owned()]
        }
        _ => return Err(invalid_url()),
    };
    servers.sort();
    servers.dedup();
    Ok(servers)
}

/// Returns the canonical address of a server, since the address decides which keys belong to the server.
fn canonical_address(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok().filter(|port| *port > 0)?),
        _ => (host, DEFAULT_PORT),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte) || (bare.is_some() && byte == b':');
    let name_fits = bare.unwrap_or(name).bytes().all(allowed) && !bare.unwrap_or(name).is_empty();
    name_fits.then(|| format!("{}:{port}", name.to_ascii_lowercase()))
}

fn invalid_url() -> Error {
    let expected =
        "expected memcached://host:11211,host2:11211 or memcached+unix:///path, without user, password and parameters";
    Error::new(ErrorKind::Config, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_one_address() {
        let all = parse("memcached://Cache2.example, 10.0.0.1:11212,[::1],[::1]:7,cache1,CACHE1:11211/").unwrap();
        assert_eq!(all, ["10.0.0.1:11212", "[::1]:11211", "[::1]:7", "cache1:11211", "cache2.example:11211"]);
        assert_eq!(parse("memcached+unix:///run/memcached.sock").unwrap(), ["/run/memcached.sock"]);
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_printed() {
        for url in [
            "",
            "cache1:11211",
            "memcached://",
            "memcached://a,,b",
            "memcached://user:secret@host",
            "memcached://host:0",
            "memcached://host:99999",
            "memcached://host:secret",
            "memcached://::1",
            "memcached://[]",
            "memcached://host/secret",
            "memcached://host?secret",
            "memcached://host:11211?timeout=secret",
            "memcached://host,secret@host2",
            "memcached+unix:///run/m.sock?secret=1",
            "memcached+unix://user:secret@/run/m.sock",
            "memcached+unix://host",
            "redis://host",
        ] {
            let error = parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
