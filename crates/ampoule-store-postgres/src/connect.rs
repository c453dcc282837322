//! Creates a pool from a URL, without connecting.

use std::path::PathBuf;

use ampoule_core::internal::ServerUrl;
use ampoule_core::internal::tls::TlsMode;
use ampoule_core::{Error, ErrorKind};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};

use crate::connection::Connections;
use crate::options::PostgresOptions;
use crate::tls::{self, TlsConnector};

const EXPECTED: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";

/// The drivers of Python that a URL of SQLAlchemy may name, as in `postgresql+asyncpg`. They make no difference here.
const PYTHON_DRIVERS: [&str; 6] = ["psycopg2", "psycopg", "psycopg2cffi", "psycopg_async", "asyncpg", "pg8000"];

/// Parameters that are passed to the driver.
const DRIVER_PARAMETERS: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Parameters that the store reads itself.
const OWN_PARAMETERS: [&str; 6] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "prepared_statements", "ssl"];

/// Parameters of other drivers that mean `prepared_statements=false`.
const FOREIGN_PARAMETERS: [&str; 6] = [
    "pgbouncer",
    "statement_cache_capacity",
    "statement-cache-capacity",
    "statement_cache_size",
    "prepare_threshold",
    "prepareThreshold",
];

/// Returns the pool, and its location for messages: hosts, ports and database.
pub(crate) fn connections(text: &str, options: &PostgresOptions) -> Result<(Connections, String), Error> {
    let mut url = ServerUrl::parse(text, EXPECTED)?;
    check_scheme(&url)?;
    let prepared_statements = prepared_statements(&mut url)?.or(options.prepared_statements);
    let tls = tls_settings(&mut url, options)?;
    url.reject_unknown(&[&DRIVER_PARAMETERS[..], &OWN_PARAMETERS].concat())?;
    let mut config = config(&url)?;
    config.connect_timeout(options.pool.connect_timeout);
    // As in libpq, a connection through a Unix socket is never encrypted.
    let tls = tls.filter(|_| config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))));
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match &tls {
        Some((mode, tls)) => Manager::from_config(config.ssl_mode(*mode).clone(), tls.clone(), recycling),
        None => Manager::from_config(config.ssl_mode(SslMode::Disable).clone(), NoTls, recycling),
    };
    let pool = Pool::builder(manager)
        .max_size(options.pool.max_connections.max(1))
        .wait_timeout(Some(options.pool.pool_timeout))
        .create_timeout(Some(options.pool.connect_timeout))
        .recycle_timeout(Some(options.pool.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|cause| Error::new(ErrorKind::Config, "the connection pool cannot be created").because(cause))?;
    let tls = tls.map(|(_, tls)| tls);
    Ok((Connections::new(pool, tls, true, prepared_statements, options.pool.command_timeout), location(&config)))
}

fn check_scheme(url: &ServerUrl) -> Result<(), Error> {
    let (family, driver) = url.scheme.split_once('+').unwrap_or((&url.scheme, PYTHON_DRIVERS[0]));
    if ["postgres", "postgresql"].contains(&family) && PYTHON_DRIVERS.contains(&driver) {
        return Ok(());
    }
    let message = format!("unknown scheme of a PostgreSQL URL: expected a URL such as {EXPECTED}");
    Err(Error::new(ErrorKind::Config, message))
}

fn prepared_statements(url: &mut ServerUrl) -> Result<Option<bool>, Error> {
    if let Some((name, _)) = url.parameters.iter().find(|(name, _)| FOREIGN_PARAMETERS.contains(&name.as_str())) {
        let message = format!(
            "unknown parameter `{name}` in the URL: the store detects a pooler and then uses unnamed statements; to \
             enforce them, write prepared_statements=false"
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    match url.take(&["prepared_statements"]).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Error::new(ErrorKind::Config, "prepared_statements in the URL: expected true or false")),
    }
}

/// Returns how connections are encrypted; `None` if they are not.
fn tls_settings(url: &mut ServerUrl, options: &PostgresOptions) -> Result<Option<(SslMode, TlsConnector)>, Error> {
    // asyncpg calls it `ssl`.
    let word = url.take(&["sslmode", "ssl"]);
    let ca = url.take(&["sslrootcert"]);
    let mut files = options.tls.clone();
    for (file, name) in [(&mut files.cert, "sslcert"), (&mut files.key, "sslkey")] {
        *file = url.take(&[name]).map(PathBuf::from).or(file.take());
    }
    let is_system = ca.as_deref() == Some("system");
    files.ca = if is_system { None } else { ca.map(PathBuf::from).or(files.ca) };
    let mode = match word.as_deref() {
        // As in libpq, `sslrootcert=system` implies `verify-full`.
        None if is_system => TlsMode::VerifyFull,
        None => TlsMode::Prefer,
        Some(word) => TlsMode::parse(word)?,
    };
    files.check()?;
    let ssl_mode = match mode {
        TlsMode::Disable => return Ok(None),
        // As in a libpq that was built without TLS.
        TlsMode::Prefer if !cfg!(feature = "tls") => return Ok(None),
        TlsMode::Prefer => SslMode::Prefer,
        _ => SslMode::Require,
    };
    Ok(Some((ssl_mode, tls::connector(mode, &files)?)))
}

/// Returns the driver's configuration, from the decoded parts of the URL.
fn config(url: &ServerUrl) -> Result<Config, Error> {
    // The driver's message names the wrong parameter and contains no part of the login.
    let mut config: Config = match parameters(url).parse() {
        Ok(config) => config,
        Err(cause) => {
            let what = std::error::Error::source(&cause).map_or_else(|| cause.to_string(), ToString::to_string);
            return Err(Error::new(ErrorKind::Config, format!("expected a URL such as {EXPECTED}: {what}")));
        }
    };
    for host in &url.hosts {
        config.host(&host.name).port(host.port.unwrap_or(5432));
    }
    if let Some(user) = &url.user {
        config.user(user);
    }
    if let Some(password) = &url.password {
        config.password(password);
    }
    if !url.path.is_empty() {
        config.dbname(&url.path);
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let message = format!("the URL has no host: expected a URL such as {EXPECTED}");
        return Err(Error::new(ErrorKind::Config, message));
    }
    if config.get_application_name().is_none() {
        config.application_name("ampoule");
    }
    Ok(config)
}

/// Returns the parameters as a connection string of libpq: `name='value'` pairs.
fn parameters(url: &ServerUrl) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    let pairs = url.parameters.iter().map(|(name, value)| format!("{name}='{}'", quoted(value)));
    pairs.collect::<Vec<_>>().join(" ")
}

fn location(config: &Config) -> String {
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
    // Without a database the server uses the one named after the role, which is a part of the login.
    config.get_dbname().map_or(hosts.clone(), |database| format!("{hosts}/{database}"))
}
