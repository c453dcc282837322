//! Where to listen. The crate opens no socket itself; the program that serves does.

use std::fmt;
use std::path::PathBuf;

use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::limits::{LIMITS, Limits, read_limits};
use crate::proxies::{TrustedProxies, read_proxies};

/// Where to listen, whom to believe, and what clients may hold: the section `[server:NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// The addresses; at least one.
    pub listen: Vec<Listen>,
    /// The proxies whose `X-Forwarded-…` count; none by default.
    pub proxies: TrustedProxies,
    /// Whether requests come by https although this server speaks http, since the section says so (`url_scheme`).
    pub is_https: bool,
    /// How much of it its clients may hold.
    pub limits: Limits,
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A host or address, and a port; 0 lets the system choose. `0.0.0.0` is all of IPv4, `[::]` all.
    Tcp {
        /// Without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl Server {
    /// A server at this host and port, which believes no proxy.
    pub fn new(host: impl Into<String>, port: u16) -> Server {
        Server::at(vec![Listen::Tcp { host: host.into(), port }])
    }

    fn at(listen: Vec<Listen>) -> Server {
        Server { listen, proxies: TrustedProxies::default(), is_https: false, limits: Limits::default() }
    }

    /// The addresses that other machines may reach.
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

/// The servers of Python: their names, and where each listens if its section does not say.
pub(crate) const SERVERS: [(&str, &str, u16); 13] = [
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

/// What is understood.
const KNOWN: [&str; 11] = [
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

/// What a server that answers many requests in each thread, and starts no processes, has no use for.
const PASSED_OVER: [&str; 47] = [
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

/// What would be served otherwise than its writer meant.
const REFUSED: [(&str, &str); 8] = [
    ("ssl_pem", "this server speaks no TLS; put a proxy that does in front, and name it in `trusted_proxies`"),
    ("ssl_context", "this server speaks no TLS; put a proxy that does in front, and name it in `trusted_proxies`"),
    ("certfile", "this server speaks no TLS; put a proxy that does in front, and name it in `trusted_proxies`"),
    ("keyfile", "this server speaks no TLS; put a proxy that does in front, and name it in `trusted_proxies`"),
    ("user", "this server changes no user; let what starts it do so, such as `User=` of systemd"),
    ("group", "this server changes no group; let what starts it do so, such as `Group=` of systemd"),
    (
        "url_prefix",
        "expected a `[composite:…]` that mounts the app at this path, or the filter `egg:PasteDeploy#prefix`",
    ),
    ("sockets", "expected `listen` or `unix_socket`"),
];

/// The factory of one of these.
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

/// The faults of what is unknown or refused; a warning of what is passed over.
fn unknown(conf: &Conf) -> Vec<Fault> {
    let passed = || conf.local.iter().filter(|local| PASSED_OVER.contains(&local.name.as_str()));
    if let Some(first) = passed().next() {
        let names: Vec<&str> = passed().map(|local| local.name.as_str()).collect();
        let message = "passed over: of a server in Python; this one answers many requests in each thread";
        conf.warn(first.place.fault(&names.join(", "), message));
    }
    let refused = REFUSED.iter().filter(|(name, _)| conf.get(name).is_some());
    let refused: Vec<Fault> = refused.map(|(name, message)| conf.fault(name, message)).collect();
    let known: Vec<&str> =
        KNOWN.iter().chain(&LIMITS).chain(&PASSED_OVER).chain(REFUSED.iter().map(|(name, _)| name)).copied().collect();
    conf.unknown(&known).into_iter().chain(refused).collect()
}

/// `listen` (waitress), `bind` (gunicorn) or `unix_socket` stand alone; else `host` and `port`.
fn addresses(conf: &Conf, host: &str, port: u16) -> Result<Vec<Listen>, Faults> {
    let mut faults = Faults::default();
    let ways = ["listen", "bind", "unix_socket"].into_iter().filter(|way| conf.get(way).is_some());
    let ways: Vec<&str> = ways.collect();
    let beside = ["host", "port"].into_iter().find(|option| conf.get(option).is_some());
    if let (Some(way), Some(other)) = (ways.first(), ways.get(1).copied().or(beside)) {
        faults.0.push(conf.fault(other, format!("`{way}` stands beside it; one of the two is enough")));
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
                Some(_) => {
                    Err(conf.fault("host", "it has a port, and `port` stands beside it; one of the two is enough"))
                }
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
