//! From a URL to a pool that has not connected yet.

use std::sync::Arc;

use ampoule_core::{Error, ErrorKind};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::PostgresOptions;

/// The pool, and in a few words where it leads.
pub(crate) fn pool(url: &str, options: &PostgresOptions) -> Result<(Pool, String), Error> {
    let message = "expected a URL such as postgres://user:password@host:5432/database";
    let wrong = || Error::new(ErrorKind::Config, message);
    // The cause names the part that is wrong, never the password.
    let mut config: Config = url.parse().map_err(|cause: tokio_postgres::Error| wrong().because(cause))?;
    if config.get_hosts().is_empty() {
        return Err(wrong().because("it names no host"));
    }
    config.connect_timeout(options.connect_timeout);
    if config.get_application_name().is_none() {
        config.application_name("ampoule");
    }
    let place = place(&config);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        SslMode::Require => Manager::from_config(config, verified_tls()?, recycling),
        _ => Manager::from_config(config.ssl_mode(SslMode::Disable).clone(), NoTls, recycling),
    };
    let pool = Pool::builder(manager)
        .max_size(options.max_connections.max(1))
        .wait_timeout(Some(options.pool_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|cause| Error::new(ErrorKind::Config, "no pool of connections can be made").because(cause))?;
    Ok((pool, place))
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    config.get_dbname().or(config.get_user()).map_or(hosts.clone(), |database| format!("{hosts}/{database}"))
}

/// TLS that verifies the server with the system's trusted roots.
fn verified_tls() -> Result<MakeRustlsConnect, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let message = "sslmode=require needs the system's trusted certificates, and there are none";
        return Err(Error::new(ErrorKind::Config, message));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::new(ErrorKind::Config, "TLS cannot be set up").because(cause))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
