//! What a URL leads to.

use std::path::PathBuf;

use ampoule_core::internal::tls::TlsFiles;
use ampoule_core::internal::{Host, ServerUrl};
use ampoule_core::{Error, ErrorKind};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::certificates::{self, Certificates};

/// A server, the master that sentinels know, or a Cluster.
pub(crate) struct Address {
    pub(crate) target: Target,
    /// Where it is, for people; nothing of a login.
    pub(crate) place: String,
    pub(crate) is_tls: bool,
}

pub(crate) enum Target {
    One(Client),
    #[cfg(feature = "sentinel")]
    Sentinel(tokio::sync::Mutex<redis::sentinel::SentinelClient>),
    #[cfg(feature = "cluster")]
    Cluster(Vec<ConnectionInfo>, Option<Certificates>),
    /// The application's own connection.
    #[cfg(feature = "redis-1")]
    Manager(redis::aio::ConnectionManager),
}

const EXPECTED: &str = "redis://user:password@host:6379/0, redis+sentinel://host:26379,host2:26379/mymaster/0 or \
                        redis+cluster://host:6379,host2:6379";

/// Each file by our name for it, and by that of redis-py.
const FILES: [[&str; 2]; 3] =
    [["tls_ca_file", "ssl_ca_certs"], ["tls_cert_file", "ssl_certfile"], ["tls_key_file", "ssl_keyfile"]];

impl Address {
    #[cfg(feature = "redis-1")]
    pub(crate) fn of_client(client: Client) -> Address {
        let address = client.get_connection_info().addr();
        let (is_tls, place) = (matches!(address, ConnectionAddr::TcpTls { .. }), address.to_string());
        Address { target: Target::One(client), place, is_tls }
    }

    #[cfg(feature = "redis-1")]
    pub(crate) fn of_manager(manager: redis::aio::ConnectionManager) -> Address {
        let place = "a connection of the application's".to_owned();
        Address { target: Target::Manager(manager), place, is_tls: false }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        #[cfg(feature = "cluster")]
        return matches!(self.target, Target::Cluster(..));
        #[cfg(not(feature = "cluster"))]
        false
    }

    /// Whether connections can be had that wait for replicas, or why not.
    pub(crate) fn waits(&self) -> Result<(), &'static str> {
        match &self.target {
            #[cfg(feature = "cluster")]
            Target::Cluster(..) => {
                Err("replicas cannot be waited for in a Cluster: use min-replicas-to-write on its nodes")
            }
            #[cfg(feature = "redis-1")]
            Target::Manager(_) => {
                Err("replicas cannot be waited for on a connection that is shared: give a client (with_client)")
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn parse(url: &str, files: &TlsFiles) -> Result<Address, Error> {
    let mut url = ServerUrl::parse(url, EXPECTED)?;
    let (family, kind) = url.scheme.split_once('+').unwrap_or((&url.scheme, ""));
    let (is_tls, kind) = match (family, kind) {
        ("redis" | "valkey", kind @ ("" | "unix" | "sentinel" | "cluster")) => (false, kind.to_owned()),
        ("rediss" | "valkeys", kind @ ("" | "sentinel" | "cluster")) => (true, kind.to_owned()),
        _ => return Err(wrong("its scheme is unknown")),
    };
    check_features(is_tls, &kind)?;
    let given = files_of(&mut url, files);
    if !is_tls && kind != "unix" && given != TlsFiles::default() {
        return Err(wrong("files for TLS are given, and it asks for none: write rediss:// for redis://"));
    }
    let tls = is_tls.then(|| certificates::read(&given)).transpose()?.flatten();
    let (target, place) = match kind.as_str() {
        #[cfg(feature = "sentinel")]
        "sentinel" => crate::sentinel::target(url, is_tls, tls),
        #[cfg(feature = "cluster")]
        "cluster" => crate::cluster::target(&url, is_tls, tls),
        "unix" => unix(url),
        _ => one(&url, is_tls, tls),
    }?;
    Ok(Address { target, place, is_tls })
}

/// What a URL asks for and this program was built without is an error that names the feature.
fn check_features(is_tls: bool, kind: &str) -> Result<(), Error> {
    let (what, feature) = match kind {
        "sentinel" if !cfg!(feature = "sentinel") => ("Sentinel", "`redis-sentinel`"),
        "cluster" if !cfg!(feature = "cluster") => ("Redis Cluster", "`redis-cluster`"),
        _ if is_tls && !cfg!(feature = "tls") => ("TLS", "`tls-ring` or `tls-aws-lc-rs`"),
        _ => return Ok(()),
    };
    let message = format!(
        "this program was built without {what}: build it with the cargo feature {feature} of ampoule (the command \
         `ampoule`: with `--features all-stores`)"
    );
    Err(Error::new(ErrorKind::Config, message))
}

pub(crate) fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("expected a URL such as {EXPECTED}: {why}"))
}

/// Those of the URL, else those of the options.
fn files_of(url: &mut ServerUrl, files: &TlsFiles) -> TlsFiles {
    let [ca, cert, key] = FILES.map(|names| url.take(&names).map(PathBuf::from));
    let TlsFiles { ca: other_ca, cert: other_cert, key: other_key } = files.clone();
    TlsFiles { ca: ca.or(other_ca), cert: cert.or(other_cert), key: key.or(other_key) }
}

pub(crate) fn of_driver(cause: RedisError) -> Error {
    wrong(cause.category())
}

fn one(url: &ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    url.reject_unknown(&known(&["db"]))?;
    let [host] = &url.hosts[..] else {
        return Err(wrong("one host is needed; several are redis+sentinel:// or redis+cluster://"));
    };
    let database = database(url, &url.path)?;
    let info = info(url, address(host, 6379, is_tls), database)?;
    let client = match tls {
        Some(tls) => certificates::client(info, tls),
        None => Client::open(info),
    };
    let path = if database == 0 { String::new() } else { database.to_string() };
    let place = ServerUrl { path, ..url.clone() }.location(6379);
    Ok((Target::One(client.map_err(of_driver)?), place))
}

/// The login may stand before the path, or in parameters, as the driver reads it.
fn unix(mut url: ServerUrl) -> Result<(Target, String), Error> {
    url.user = url.take(&["user", "username"]).or(url.user.take());
    url.password = url.take(&["pass", "password"]).or(url.password.take());
    url.reject_unknown(&["db", "user", "password"])?;
    if url.path.is_empty() || !url.hosts.is_empty() {
        return Err(wrong("a socket has a path and no host: redis+unix:///run/redis.sock?db=0"));
    }
    let path = format!("/{}", url.path);
    let database = database(&url, "")?;
    let client = Client::open(info(&url, ConnectionAddr::Unix(PathBuf::from(&path)), database)?);
    let place = if database == 0 { path } else { format!("{path}, database {database}") };
    Ok((Target::One(client.map_err(of_driver)?), place))
}

/// These parameters, and those for TLS, which are taken by now and still worth a hint.
pub(crate) fn known<'a>(more: &[&'a str]) -> Vec<&'a str> {
    more.iter().copied().chain(FILES.map(|names| names[0])).collect()
}

pub(crate) fn database(url: &ServerUrl, path: &str) -> Result<i64, Error> {
    let parameter = url.parameters.iter().find(|(name, _)| name == "db").map(|(_, value)| value.as_str());
    match parameter.unwrap_or(path) {
        "" => Ok(0),
        number => number
            .parse::<u16>()
            .map(i64::from)
            .map_err(|_| wrong("what follows the last slash is a database's number")),
    }
}

pub(crate) fn address(host: &Host, port: u16, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (host.name.clone(), host.port.unwrap_or(port));
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

pub(crate) fn info(url: &ServerUrl, address: ConnectionAddr, database: i64) -> Result<ConnectionInfo, Error> {
    let password = url.password.as_deref().filter(|password| !password.is_empty());
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    if let Some(user) = &url.user {
        if password.is_none() {
            return Err(wrong("a user needs a password; a password alone is redis://:password@host"));
        }
        settings = settings.set_username(user);
    }
    Ok(address.into_connection_info().map_err(of_driver)?.set_redis_settings(settings))
}
