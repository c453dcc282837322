//! The server's addresses. This crate opens no socket; the program that serves the app does.

use std::fmt;
use std::path::PathBuf;

use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::limits::{LIMITS, Limits, read_limits};
use crate::proxies::{TrustedProxies, read_proxies};

/// The section `[server:NAME]`: addresses to listen at, trusted proxies, limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// The addresses; at least one.
    pub listen: Vec<Listen>,
    /// The proxies whose `X-Forwarded-…` headers are trusted; none by default.
    pub proxies: TrustedProxies,
    /// Whether clients use https although this server speaks http: `url_scheme = https`.
    pub is_https: bool,
    /// The limits on what clients may use.
    pub limits: Limits,
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A host or address, and a port. Port 0 lets the system choose one. `0.0.0.0` is all IPv4 addresses, `::` all
    /// addresses.
    Tcp {
        /// The host or address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// The path of its file.
        path: PathBuf,
        /// The permissions of its file, such as `0o600`.
        mode: u32,
    },
}

impl Server {
    /// Creates a server that listens at this host and port and trusts no proxy.
    ///
    /// ```
    /// let server = ampoule_deploy::Server::new("127.0.0.1", 8080);
    /// assert_eq!(server.listen[0].to_string(), "http://127.0.0.1:8080");
    /// assert_eq!(server.reachable().count(), 0);
    /// ```
    pub fn new(host: impl Into<String>, port: u16) -> Server {
        Server::at(vec![Listen::Tcp { host: host.into(), port }])
    }

    fn at(listen: Vec<Listen>) -> Server {
        Server { listen, proxies: TrustedProxies::default(), is_https: false, limits: Limits::default() }
    }

    /// Returns the addresses that other machines may reach: all but loopback addresses and Unix sockets.
    pub fn reachable(&self) -> impl Iterator<Item = &Listen> {
        let is_own =
            |host: &str| host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.listen.iter().filter(move |listen| matches!(listen, Listen::Tcp { host, .. } if !is_own(host)))
    }
}

impl fmt::Display for Listen {
    /// `http://127.0.0.1:5000`, `unix:/run/site.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Listen::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Listen::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The servers of Python: the name, and the default host and port of each.
pub(crate) const PYTHON_SERVERS: [(&str, &str, u16); 13] = [
    ("egg:Paste#http", "127.0.0.1", 8080),
    ("egg:ampoule#http", "127.0.0.1", 8080),
    ("egg:waitress", "0.0.0.0", 8080),
    ("egg:gunicorn", "127.0.0.1", 8000),
    ("egg:PasteScript#wsgiutils", "127.0.0.1", 8080),
    ("egg:PasteScript#cherrypy", "127.0.0.1", 8080),
    ("egg:PasteScript#wsgiref", "127.0.0.1", 8080),
    ("egg:pyramid#wsgiref", "0.0.0.0", 8080),
    ("egg:pyramid#cherrypy", "127.0.0.1", 8080),
    ("egg:gearbox#wsgiref", "0.0.0.0", 8080),
    ("egg:gearbox#cherrypy", "127.0.0.1", 8080),
    ("egg:gearbox#gevent", "0.0.0.0", 8080),
    ("egg:CherryPy#main", "127.0.0.1", 8080),
];

/// The options that take effect.
const KNOWN_OPTIONS: [&str; 11] = [
    "host",
    "port",
    "listen",
    "bind",
    "unix_socket",
    "unix_socket_perms",
    "trusted_proxies",
    "trusted_proxy",
    "trusted_proxy_headers",
    "url_scheme",
    "clear_untrusted_proxy_headers",
];

/// Options that do not apply to a server that serves many requests in each thread and starts no processes.
const IGNORED: [&str; 47] = [
    "threads",
    "workers",
    "worker_class",
    "worker",
    "worker_connections",
    "threadpool_workers",
    "threadpool_max_requests",
    "threadpool_spawn_if_under",
    "threadpool_options",
    "use_threadpool",
    "daemon_threads",
    "numthreads",
    "max",
    "max_threads",
    "request_queue_size",
    "backlog",
    "socket_timeout",
    "timeout",
    "graceful_timeout",
    "keepalive",
    "cleanup_interval",
    "recv_bytes",
    "send_bytes",
    "outbuf_overflow",
    "outbuf_high_watermark",
    "inbuf_overflow",
    "asyncore_use_poll",
    "asyncore_loop_timeout",
    "channel_request_lookahead",
    "expose_tracebacks",
    "ident",
    "server_name",
    "server_version",
    "protocol_version",
    "proc_name",
    "loglevel",
    "accesslog",
    "errorlog",
    "access_logformat",
    "preload_app",
    "max_requests",
    "max_requests_jitter",
    "log_socket_errors",
    "trusted_proxy_count",
    "log_untrusted_proxy_headers",
    "debug",
    "max_request_body_size",
];

/// Options that cannot be ignored: without them the app would be served differently than the file's author intends.
const REFUSED_OPTIONS: [(&str, &str); 8] = [
    ("ssl_pem", "this server has no TLS; put a proxy that has it in front, and name it in `trusted_proxies`"),
    ("ssl_context", "this server has no TLS; put a proxy that has it in front, and name it in `trusted_proxies`"),
    ("certfile", "this server has no TLS; put a proxy that has it in front, and name it in `trusted_proxies`"),
    ("keyfile", "this server has no TLS; put a proxy that has it in front, and name it in `trusted_proxies`"),
    ("user", "this server does not change its user; let the service manager do so, as systemd does with `User=`"),
    ("group", "this server does not change its group; let the service manager do so, as systemd does with `Group=`"),
    (
        "url_prefix",
        "expected a `[composite:…]` that mounts the app at this path, or the filter `egg:PasteDeploy#prefix`",
    ),
    ("sockets", "expected `listen` or `unix_socket`"),
];

/// The factory of all servers.
pub(crate) fn make(conf: &Conf, host: &str, port: u16) -> Result<Server, Faults> {
    let mut faults = Faults(unknown(conf));
    let mut server = Server::at(faults.keep(addresses(conf, host, port)).unwrap_or_default());
    server.proxies = faults.keep(read_proxies(conf)).unwrap_or_default();
    server.limits = faults.keep(read_limits(conf)).unwrap_or_default();
    match conf.get("url_scheme") {
        None | Some("http") => {}
        Some("https") => server.is_https = true,
        Some(_) => faults.0.push(conf.fault("url_scheme", "expected http or https")),
    }
    faults.if_none(|| server)
}

/// Returns the faults of unknown and refused options, and warns about ignored ones.
fn unknown(conf: &Conf) -> Vec<Fault> {
    let passed = || conf.local.iter().filter(|local| IGNORED.contains(&local.name.as_str()));
    if let Some(first) = passed().next() {
        let names: Vec<&str> = passed().map(|local| local.name.as_str()).collect();
        let message = "ignored: options of a Python server; this one answers many requests in each thread";
        conf.warn(first.location.fault(&names.join(", "), message));
    }
    let refused = REFUSED_OPTIONS.iter().filter(|(name, _)| conf.get(name).is_some());
    let refused: Vec<Fault> = refused.map(|(name, message)| conf.fault(name, message)).collect();
    let known: Vec<&str> = KNOWN_OPTIONS
        .iter()
        .chain(&LIMITS)
        .chain(&IGNORED)
        .chain(REFUSED_OPTIONS.iter().map(|(name, _)| name))
        .copied()
        .collect();
    conf.unknown(&known).into_iter().chain(refused).collect()
}

/// Reads one of `listen` (waitress), `bind` (gunicorn) and `unix_socket`, or else `host` and `port`.
fn addresses(conf: &Conf, host: &str, port: u16) -> Result<Vec<Listen>, Faults> {
    let mut faults = Faults::default();
    let ways = ["listen", "bind", "unix_socket"].into_iter().filter(|way| conf.get(way).is_some());
    let ways: Vec<&str> = ways.collect();
    let beside = ["host", "port"].into_iter().find(|option| conf.get(option).is_some());
    if let (Some(way), Some(other)) = (ways.first(), ways.get(1).copied().or(beside)) {
        faults.0.push(conf.fault(other, format!("conflicts with `{way}`; write only one of them")));
    }
    let (own_host, own_port) =
        (conf.get("host").unwrap_or(host), conf.number("port", port.into(), 0..=u16::MAX.into()));
    let own_port = faults.keep(own_port).and_then(|port| u16::try_from(port).ok()).unwrap_or(port);
    let listen = match ways.first() {
        Some(&"unix_socket") => {
            let path = conf.get("unix_socket").unwrap_or_default();
            faults.keep(unix(conf, "unix_socket", path)).into_iter().collect()
        }
        Some(way) => {
            let text = conf.get(way).unwrap_or_default();
            let words = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty());
            let listen: Vec<Listen> = words.filter_map(|word| faults.keep(address(conf, way, word, port))).collect();
            if listen.is_empty() && faults.0.is_empty() {
                faults.0.push(conf.fault(way, "expected an address such as 127.0.0.1:8080"));
            }
            listen
        }
        None => faults.keep(address_of_host(conf, own_host, own_port)).into_iter().collect(),
    };
    faults.if_none(|| listen)
}

fn address_of_host(conf: &Conf, host: &str, port: u16) -> Result<Listen, Fault> {
    let expected = "expected an address or a host name, such as 127.0.0.1";
    // Paste's and CherryPy's servers take `host:port`; gunicorn's takes `unix:/path`.
    match host.rsplit_once(':') {
        Some(_) if host.starts_with("unix:") => address(conf, "host", host, port),
        Some((before, number)) if !before.contains(':') && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            match conf.get("port") {
                Some(_) => Err(conf.fault("host", "contains a port, and `port` is set too; write only one of them")),
                None => address(conf, "host", host, port),
            }
        }
        _ => tcp(host, port).ok_or_else(|| conf.fault("host", expected)),
    }
}

/// `host:port`, `host`, `*:port`, `[::1]:port` or `unix:/path`.
fn address(conf: &Conf, option: &str, text: &str, default_port: u16) -> Result<Listen, Fault> {
    let expected = || conf.fault(option, format!("expected host:port, [address]:port or unix:/path, found `{text}`"));
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(conf, option, path);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| expected())?),
        _ => (text, default_port),
    };
    tcp(host, port).ok_or_else(expected)
}

fn tcp(host: &str, port: u16) -> Option<Listen> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // All addresses, of IPv4 and IPv6.
    let host = if host == "*" { "::" } else { host };
    let is_good = !host.is_empty() && !host.contains(|sign: char| sign.is_whitespace() || "/[]".contains(sign));
    is_good.then(|| Listen::Tcp { host: host.to_owned(), port })
}

fn unix(conf: &Conf, option: &str, path: &str) -> Result<Listen, Fault> {
    let mode = match conf.get("unix_socket_perms") {
        None => 0o600,
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| conf.fault("unix_socket_perms", "expected an octal number from 0 to 777, such as 660"))?,
    };
    if path.is_empty() {
        return Err(conf.fault(option, "expected the path of a socket, such as /run/site.sock"));
    }
    Ok(Listen::Unix { path: path.into(), mode })
}
