//! The master that sentinels know.

use ampoule_core::Error;
use ampoule_core::internal::ServerUrl;
use redis::TlsMode;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};

use crate::address::{Target, address, database, info, known, of_driver, wrong};
use crate::certificates::Certificates;

const SENTINEL_LOGIN: [&str; 2] = ["sentinel_user", "sentinel_password"];

pub(crate) fn target(mut url: ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    let [user, password] = SENTINEL_LOGIN.map(|name| url.take(&[name]));
    url.reject_unknown(&known(&["db", SENTINEL_LOGIN[0], SENTINEL_LOGIN[1]]))?;
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
    #[cfg(feature = "tls")]
    if let Some(tls) = tls {
        builder = builder.set_client_to_redis_certificates(tls.clone()).set_client_to_sentinel_certificates(tls);
    }
    #[cfg(not(feature = "tls"))]
    let _ = tls;
    let client = tokio::sync::Mutex::new(builder.build().map_err(of_driver)?);
    let sentinels = ServerUrl { path: String::new(), ..url.clone() }.location(26379);
    Ok((Target::Sentinel(client), format!("the master {master} of the sentinels {sentinels}")))
}
