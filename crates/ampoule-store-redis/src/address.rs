//! The address of the servers, parsed from a URL.

use std::path::PathBuf;

use ampoule_core::internal::tls::TlsFiles;
use ampoule_core::internal::{Host, ServerUrl};
use ampoule_core::{Error, ErrorKind};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::certificates::{self, Certificates};

/// The address of a single server, of a master behind Sentinel, or of a Cluster.
pub(crate) struct Address {
    pub(crate) target: Target,
    /// The location for an operator, without any part of a login.
    pub(crate) location: String,
    pub(crate) is_tls: bool,
}

pub(crate) enum Target {
    Single(Client),
    #[cfg(feature = "sentinel")]
    Sentinel(tokio::sync::Mutex<redis::sentinel::SentinelClient>),
    #[cfg(feature = "cluster")]
    Cluster(Vec<ConnectionInfo>, Option<Certificates>),
    /// A connection of the application.
    #[cfg(feature = "redis-1")]
    Manager(redis::aio::ConnectionManager),
}

const EXPECTED: &str = "redis://user:password@host:6379/0, redis+sentinel://host:26379,host2:26379/mymaster/0 or \
                        redis+cluster://host:6379,host2:6379";

/// The parameters that name the files for TLS: our name of each, and redis-py's.
const TLS_PARAMETERS: [[&str; 2]; 3] =
    [["tls_ca_file", "ssl_ca_certs"], ["tls_cert_file", "ssl_certfile"], ["tls_key_file", "ssl_keyfile"]];

impl Address {
    #[cfg(feature = "redis-1")]
    pub(crate) fn from_client(client: Client) -> Address {
        let address = client.get_connection_info().addr();
        let (is_tls, location) = (matches!(address, ConnectionAddr::TcpTls { .. }), address.to_string());
        Address { target: Target::Single(client), location, is_tls }
    }

    #[cfg(feature = "redis-1")]
    pub(crate) fn from_manager(manager: redis::aio::ConnectionManager) -> Address {
        let location = "a connection of the application".to_owned();
        Address { target: Target::Manager(manager), location, is_tls: false }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        #[cfg(feature = "cluster")]
        return matches!(self.target, Target::Cluster(..));
        #[cfg(not(feature = "cluster"))]
        false
    }

    /// Checks that writes can wait for replicas; the error says why not.
    pub(crate) fn supports_wait(&self) -> Result<(), &'static str> {
        match &self.target {
            #[cfg(feature = "cluster")]
            Target::Cluster(..) => {
                Err("`replicas` is not supported in a Cluster: set min-replicas-to-write on its nodes instead")
            }
            #[cfg(feature = "redis-1")]
            Target::Manager(_) => {
                Err("`replicas` is not supported on a shared connection: pass a client instead (with_client)")
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
        _ => return Err(invalid_url("its scheme is unknown")),
    };
    check_features(is_tls, &kind)?;
    let files = tls_files(&mut url, files);
    if !is_tls && kind != "unix" && files != TlsFiles::default() {
        return Err(invalid_url("files for TLS are set, but it does not use TLS: write rediss:// instead of redis://"));
    }
    let tls = is_tls.then(|| certificates::read(&files)).transpose()?.flatten();
    let (target, location) = match kind.as_str() {
        #[cfg(feature = "sentinel")]
        "sentinel" => crate::sentinel::target(url, is_tls, tls),
        #[cfg(feature = "cluster")]
        "cluster" => crate::cluster::target(&url, is_tls, tls),
        "unix" => unix(url),
        _ => single(&url, is_tls, tls),
    }?;
    Ok(Address { target, location, is_tls })
}

/// Checks that this program was built with the features that the URL needs.
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

pub(crate) fn invalid_url(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("expected a URL such as {EXPECTED}: {why}"))
}

/// Returns the files of the URL, and those of the options that the URL does not set.
fn tls_files(url: &mut ServerUrl, files: &TlsFiles) -> TlsFiles {
    let [ca, cert, key] = TLS_PARAMETERS.map(|names| url.take(&names).map(PathBuf::from));
    let TlsFiles { ca: other_ca, cert: other_cert, key: other_key, .. } = files.clone();
    TlsFiles { ca: ca.or(other_ca), cert: cert.or(other_cert), key: key.or(other_key), ..TlsFiles::default() }
}

/// Returns the error for settings that the driver rejects. Its detail may contain a part of the login, so it is
/// omitted.
pub(crate) fn rejected_by_driver(cause: RedisError) -> Error {
    invalid_url(cause.category())
}

fn single(url: &ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    url.reject_unknown(&known_parameters(&["db"]))?;
    let [host] = &url.hosts[..] else {
        return Err(invalid_url("it needs exactly one host; several hosts are redis+sentinel:// or redis+cluster://"));
    };
    let database = database(url, &url.path)?;
    let info = connection_info(url, socket_address(host, 6379, is_tls), database)?;
    let client = match tls {
        Some(tls) => certificates::client(info, tls),
        None => Client::open(info),
    };
    let path = if database == 0 { String::new() } else { database.to_string() };
    let location = ServerUrl { path, ..url.clone() }.location(6379);
    Ok((Target::Single(client.map_err(rejected_by_driver)?), location))
}

/// The login may precede the path, or be in parameters, as in the driver's own URLs.
fn unix(mut url: ServerUrl) -> Result<(Target, String), Error> {
    url.user = url.take(&["user", "username"]).or(url.user.take());
    url.password = url.take(&["pass", "password"]).or(url.password.take());
    url.reject_unknown(&["db", "user", "password"])?;
    if url.path.is_empty() || !url.hosts.is_empty() {
        return Err(invalid_url("a socket has a path and no host: redis+unix:///run/redis.sock?db=0"));
    }
    let path = format!("/{}", url.path);
    let database = database(&url, "")?;
    let client = Client::open(connection_info(&url, ConnectionAddr::Unix(PathBuf::from(&path)), database)?);
    let location = if database == 0 { path } else { format!("{path}, database {database}") };
    Ok((Target::Single(client.map_err(rejected_by_driver)?), location))
}

/// Returns these parameters and those for TLS, for the hint in an error.
pub(crate) fn known_parameters<'a>(more: &[&'a str]) -> Vec<&'a str> {
    more.iter().copied().chain(TLS_PARAMETERS.map(|names| names[0])).collect()
}

pub(crate) fn database(url: &ServerUrl, path: &str) -> Result<i64, Error> {
    let parameter = url.parameters.iter().find(|(name, _)| name == "db").map(|(_, value)| value.as_str());
    match parameter.unwrap_or(path) {
        "" => Ok(0),
        number => number
            .parse::<u16>()
            .map(i64::from)
            .map_err(|_| invalid_url("the database after the last slash must be a number from 0 to 65535")),
    }
}

pub(crate) fn socket_address(host: &Host, port: u16, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (host.name.clone(), host.port.unwrap_or(port));
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

pub(crate) fn connection_info(
    url: &ServerUrl,
    address: ConnectionAddr,
    database: i64,
) -> Result<ConnectionInfo, Error> {
    let password = url.password.as_deref().filter(|password| !password.is_empty());
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    if let Some(user) = &url.user {
        if password.is_none() {
            return Err(invalid_url(
                "a user needs a password; for a password without a user write redis://:password@host",
            ));
        }
        settings = settings.set_username(user);
    }
    Ok(address.into_connection_info().map_err(rejected_by_driver)?.set_redis_settings(settings))
}
