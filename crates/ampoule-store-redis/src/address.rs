//! What a URL leads to.

use ampoule_core::{Error, ErrorKind};
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionInfo, IntoConnectionInfo, RedisError, TlsMode};

/// A server, the master that sentinels know, or a Cluster.
pub(crate) struct Address {
    pub(crate) target: Target,
    /// Where it is, for people; no password.
    pub(crate) place: String,
}

pub(crate) enum Target {
    One(redis::Client),
    Sentinel(tokio::sync::Mutex<redis::sentinel::SentinelClient>),
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.target, Target::Cluster(_))
    }
}

const EXPECTED: &str = "expected a URL such as redis://user:password@host:6379/0, \
    redis+sentinel://host:26379,host2:26379/mymaster/0 or redis+cluster://host:6379,host2:6379";

pub(crate) fn parse(url: &str) -> Result<Address, Error> {
    let wrong = |cause: RedisError| Error::new(ErrorKind::Config, EXPECTED).because(cause.category().to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(|| Error::new(ErrorKind::Config, EXPECTED))?;
    let scheme = scheme.replace("valkeys", "rediss").replace("valkey", "redis");
    match scheme.as_str() {
        "redis" | "rediss" | "redis+unix" => one(&format!("{scheme}://{rest}")).map_err(wrong),
        "redis+sentinel" | "rediss+sentinel" => sentinel(scheme.starts_with("rediss"), rest),
        "redis+cluster" | "rediss+cluster" => cluster(scheme.starts_with("rediss"), rest).map_err(wrong),
        _ => Err(Error::new(ErrorKind::Config, EXPECTED)),
    }
}

fn one(url: &str) -> Result<Address, RedisError> {
    let client = redis::Client::open(url)?;
    let info = client.get_connection_info();
    let database = info.redis_settings().db();
    let place = if database == 0 { info.addr().to_string() } else { format!("{}/{database}", info.addr()) };
    Ok(Address { target: Target::One(client), place })
}

/// `user:password@host:port,host:port/…`, with the words before the `@` for each host.
fn hosts(rest: &str) -> (String, Vec<&str>, &str) {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) =
        authority.rsplit_once('@').map_or((String::new(), authority), |(login, hosts)| (format!("{login}@"), hosts));
    (login, hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect(), path)
}

fn sentinel(tls: bool, rest: &str) -> Result<Address, Error> {
    let wrong = |cause: RedisError| Error::new(ErrorKind::Config, EXPECTED).because(cause.category().to_owned());
    let (login, hosts, path) = hosts(rest);
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() || hosts.is_empty() {
        return Err(Error::new(ErrorKind::Config, format!("a master's name and a sentinel are needed: {EXPECTED}")));
    }
    let port = |host: &str| if host.contains(':') { host.to_owned() } else { format!("{host}:26379") };
    let sentinels: Vec<_> = hosts.iter().map(|host| port(host)).collect();
    let scheme = if tls { "rediss" } else { "redis" };
    let infos = sentinels.iter().map(|host| format!("{scheme}://{host}").into_connection_info());
    let infos = infos.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    // The driver reads name, password and database as it does for a single server.
    let login = format!("{scheme}://{login}{}/{database}", sentinels[0]).into_connection_info().map_err(wrong)?;
    let login = login.redis_settings();
    let addresses = infos.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master).map_err(wrong)?;
    builder = builder.set_client_to_redis_db(login.db());
    if let Some(user) = login.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = login.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    let client = tokio::sync::Mutex::new(builder.build().map_err(wrong)?);
    let place = format!("the master {master} of the sentinels {}", sentinels.join(","));
    Ok(Address { target: Target::Sentinel(client), place })
}

fn cluster(tls: bool, rest: &str) -> Result<Address, RedisError> {
    let (login, hosts, _) = hosts(rest);
    let scheme = if tls { "rediss" } else { "redis" };
    let nodes = hosts.iter().map(|host| format!("{scheme}://{login}{host}").into_connection_info());
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        return Err((redis::ErrorKind::InvalidClientConfig, "no node is named").into());
    }
    let place = format!("the Cluster of {}", hosts.join(","));
    Ok(Address { target: Target::Cluster(nodes), place })
}
