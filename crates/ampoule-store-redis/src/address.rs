//! What a URL leads to.

use std::path::PathBuf;

use ampoule_core::tls::TlsFiles;
use ampoule_core::{Error, ErrorKind, Host, ServerUrl};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
};

/// A server, the master that sentinels know, or a Cluster.
pub(crate) struct Address {
    pub(crate) target: Target,
    /// Where it is, for people; nothing of a login.
    pub(crate) place: String,
    pub(crate) is_tls: bool,
}

pub(crate) enum Target {
    One(Client),
    Sentinel(tokio::sync::Mutex<SentinelClient>),
    Cluster(Vec<ConnectionInfo>, Option<TlsCertificates>),
    /// The application's own connection.
    #[cfg(feature = "redis-1")]
    Manager(redis::aio::ConnectionManager),
}

const EXPECTED: &str = "redis://user:password@host:6379/0, redis+sentinel://host:26379,host2:26379/mymaster/0 or \
                        redis+cluster://host:6379,host2:6379";

/// Each file by our name for it, and by that of redis-py.
const FILES: [[&str; 2]; 3] =
    [["tls_ca_file", "ssl_ca_certs"], ["tls_cert_file", "ssl_certfile"], ["tls_key_file", "ssl_keyfile"]];
const SENTINEL_LOGIN: [&str; 2] = ["sentinel_user", "sentinel_password"];

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
        matches!(self.target, Target::Cluster(..))
    }

    /// Whether connections can be had that wait for replicas, or why not.
    pub(crate) fn waits(&self) -> Result<(), &'static str> {
        match &self.target {
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
    let given = files_of(&mut url, files);
    if !is_tls && kind != "unix" && given != TlsFiles::default() {
        return Err(wrong("files for TLS are given, and it asks for none: write rediss:// for redis://"));
    }
    let tls = is_tls.then(|| certificates(&given)).transpose()?.flatten();
    let (target, place) = match kind.as_str() {
        "sentinel" => sentinel(url, is_tls, tls),
        "cluster" => cluster(&url, is_tls, tls),
        "unix" => unix(url),
        _ => one(&url, is_tls, tls),
    }?;
    Ok(Address { target, place, is_tls })
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("expected a URL such as {EXPECTED}: {why}"))
}

/// Those of the URL, else those of the options.
fn files_of(url: &mut ServerUrl, files: &TlsFiles) -> TlsFiles {
    let [ca, cert, key] = FILES.map(|names| url.take(&names).map(PathBuf::from));
    let TlsFiles { ca: other_ca, cert: other_cert, key: other_key } = files.clone();
    TlsFiles { ca: ca.or(other_ca), cert: cert.or(other_cert), key: key.or(other_key) }
}

/// The files as the driver takes them.
fn certificates(files: &TlsFiles) -> Result<Option<TlsCertificates>, Error> {
    files.check()?;
    let read = |file: &PathBuf| {
        let unreadable =
            |cause| Error::new(ErrorKind::Config, format!("cannot read {}", file.display())).because(cause);
        std::fs::read(file).map_err(unreadable)
    };
    let root_cert = files.ca.as_ref().map(read).transpose()?;
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        _ => None,
    };
    let is_any = root_cert.is_some() || client_tls.is_some();
    Ok(is_any.then_some(TlsCertificates { client_tls, root_cert }))
}

fn of_driver(cause: RedisError) -> Error {
    wrong(cause.category())
}

fn one(url: &ServerUrl, is_tls: bool, tls: Option<TlsCertificates>) -> Result<(Target, String), Error> {
    url.only(&known(&["db"]))?;
    let [host] = &url.hosts[..] else {
        return Err(wrong("one host is needed; several are redis+sentinel:// or redis+cluster://"));
    };
    let database = database(url, &url.path)?;
    let info = info(url, address(host, 6379, is_tls), database)?;
    let client = match tls {
        Some(tls) => Client::build_with_tls(info, tls),
        None => Client::open(info),
    };
    let path = if database == 0 { String::new() } else { database.to_string() };
    let place = ServerUrl { path, ..url.clone() }.place(6379);
    Ok((Target::One(client.map_err(of_driver)?), place))
}

/// The login may stand before the path, or in parameters, as the driver reads it.
fn unix(mut url: ServerUrl) -> Result<(Target, String), Error> {
    url.user = url.take(&["user", "username"]).or(url.user.take());
    url.password = url.take(&["pass", "password"]).or(url.password.take());
    url.only(&["db", "user", "password"])?;
    if url.path.is_empty() || !url.hosts.is_empty() {
        return Err(wrong("a socket has a path and no host: redis+unix:///run/redis.sock?db=0"));
    }
    let path = format!("/{}", url.path);
    let database = database(&url, "")?;
    let client = Client::open(info(&url, ConnectionAddr::Unix(PathBuf::from(&path)), database)?);
    let place = if database == 0 { path } else { format!("{path}, database {database}") };
    Ok((Target::One(client.map_err(of_driver)?), place))
}

fn sentinel(mut url: ServerUrl, is_tls: bool, tls: Option<TlsCertificates>) -> Result<(Target, String), Error> {
    let [user, password] = SENTINEL_LOGIN.map(|name| url.take(&[name]));
    url.only(&known(&["db", SENTINEL_LOGIN[0], SENTINEL_LOGIN[1]]))?;
    let (master, path) = url.path.split_once('/').unwrap_or((&url.path, ""));
    if master.is_empty() || url.hosts.is_empty() {
        return Err(wrong("a master's name and a sentinel are needed"));
    }
    if user.is_some() && password.is_none() {
        return Err(wrong("sentinel_user needs a sentinel_password"));
    }
    let addresses: Vec<_> = url.hosts.iter().map(|host| address(host, 26379, is_tls)).collect();
    let login = info(&url, addresses[0].clone(), database(&url, path)?)?;
    let login = login.redis_settings();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master).map_err(of_driver)?;
    builder = builder.set_client_to_redis_db(login.db());
    if let Some(user) = login.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = login.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if is_tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(tls) = tls {
        builder = builder.set_client_to_redis_certificates(tls.clone()).set_client_to_sentinel_certificates(tls);
    }
    let client = tokio::sync::Mutex::new(builder.build().map_err(of_driver)?);
    let sentinels = ServerUrl { path: String::new(), ..url.clone() }.place(26379);
    Ok((Target::Sentinel(client), format!("the master {master} of the sentinels {sentinels}")))
}

fn cluster(url: &ServerUrl, is_tls: bool, tls: Option<TlsCertificates>) -> Result<(Target, String), Error> {
    url.only(&known(&[]))?;
    if !["", "0"].contains(&url.path.as_str()) {
        return Err(wrong("a Cluster has the database 0 alone"));
    }
    if url.hosts.is_empty() {
        return Err(wrong("no node is named"));
    }
    let nodes = url.hosts.iter().map(|host| info(url, address(host, 6379, is_tls), 0));
    let place = ServerUrl { path: String::new(), ..url.clone() }.place(6379);
    Ok((Target::Cluster(nodes.collect::<Result<_, _>>()?, tls), format!("the Cluster of {place}")))
}

/// These parameters, and those for TLS, which are taken by now and still worth a hint.
fn known<'a>(more: &[&'a str]) -> Vec<&'a str> {
    more.iter().copied().chain(FILES.map(|names| names[0])).collect()
}

fn database(url: &ServerUrl, path: &str) -> Result<i64, Error> {
    let parameter = url.parameters.iter().find(|(name, _)| name == "db").map(|(_, value)| value.as_str());
    match parameter.unwrap_or(path) {
        "" => Ok(0),
        number => number
            .parse::<u16>()
            .map(i64::from)
            .map_err(|_| wrong("what follows the last slash is a database's number")),
    }
}

fn address(host: &Host, port: u16, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (host.name.clone(), host.port.unwrap_or(port));
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn info(url: &ServerUrl, address: ConnectionAddr, database: i64) -> Result<ConnectionInfo, Error> {
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
