//! The master behind Sentinel.

use ampoule_core::Error;
use ampoule_core::internal::ServerUrl;
use redis::TlsMode;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};

use crate::address::{
    Target, connection_info, database, invalid_url, known_parameters, rejected_by_driver, socket_address,
};
use crate::certificates::Certificates;

const LOGIN_PARAMETERS: [&str; 2] = ["sentinel_user", "sentinel_password"];

pub(crate) fn target(mut url: ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    let [user, password] = LOGIN_PARAMETERS.map(|name| url.take(&[name]));
    url.reject_unknown(&known_parameters(&["db", LOGIN_PARAMETERS[0], LOGIN_PARAMETERS[1]]))?;
    let (master, path) = url.path.split_once('/').unwrap_or((&url.path, ""));
    if master.is_empty() || url.hosts.is_empty() {
        return Err(invalid_url("it needs the name of a master and at least one sentinel"));
    }
    if user.is_some() && password.is_none() {
        return Err(invalid_url("sentinel_user needs a sentinel_password"));
    }
    let addresses: Vec<_> = url.hosts.iter().map(|host| socket_address(host, 26379, is_tls)).collect();
    let login = connection_info(&url, addresses[0].clone(), database(&url, path)?)?;
    let login = login.redis_settings();
    let mut builder =
        SentinelClientBuilder::new(addresses, master, SentinelServerType::Master).map_err(rejected_by_driver)?;
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
    #[cfg(feature = "tls")]
    if let Some(tls) = tls {
        builder = builder.set_client_to_redis_certificates(tls.clone()).set_client_to_sentinel_certificates(tls);
    }
    #[cfg(not(feature = "tls"))]
    let _ = tls;
    let client = tokio::sync::Mutex::new(builder.build().map_err(rejected_by_driver)?);
    let sentinels = ServerUrl { path: String::new(), ..url.clone() }.location(26379);
    Ok((Target::Sentinel(client), format!("the master {master} of the sentinels {sentinels}")))
}
