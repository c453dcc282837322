//! From a URL to a pool that has not connected yet.

use std::path::PathBuf;

use ampoule_core::internal::ServerUrl;
use ampoule_core::internal::tls::TlsMode;
use ampoule_core::{Error, ErrorKind};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};

use crate::connection::Connections;
use crate::encryption::{self, Encryption};
use crate::options::PostgresOptions;

const EXPECTED: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";

/// Drivers that SQLAlchemy's URLs name. What they lead to is the same.
const DRIVERS: [&str; 6] = ["psycopg2", "psycopg", "psycopg2cffi", "psycopg_async", "asyncpg", "pg8000"];

/// Parameters that the driver knows.
const DRIVER: [&str; 18] = [
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

/// Parameters that are ours, or read here.
const OURS: [&str; 6] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "prepared_statements", "ssl"];

/// What other drivers call what is `prepared_statements=false` here.
const UNNAMED: [&str; 6] = [
    "pgbouncer",
    "statement_cache_capacity",
    "statement-cache-capacity",
    "statement_cache_size",
    "prepare_threshold",
    "prepareThreshold",
];

/// The pool, and in a few words where it leads.
pub(crate) fn connections(text: &str, options: &PostgresOptions) -> Result<(Connections, String), Error> {
    let mut url = ServerUrl::parse(text, EXPECTED)?;
    check_scheme(&url)?;
    let prepared_statements = prepared_statements(&mut url)?.or(options.prepared_statements);
    let tls = tls(&mut url, options)?;
    url.reject_unknown(&[&DRIVER[..], &OURS].concat())?;
    let mut config = config(&url)?;
    config.connect_timeout(options.pool.connect_timeout);
    // As libpq: a socket of this machine is not encrypted, whatever was said.
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
        .map_err(|cause| Error::new(ErrorKind::Config, "no pool of connections can be made").because(cause))?;
    let tls = tls.map(|(_, tls)| tls);
    Ok((Connections::new(pool, tls, true, prepared_statements, options.pool.command_timeout), place(&config)))
}

fn check_scheme(url: &ServerUrl) -> Result<(), Error> {
    let (family, driver) = url.scheme.split_once('+').unwrap_or((&url.scheme, DRIVERS[0]));
    if ["postgres", "postgresql"].contains(&family) && DRIVERS.contains(&driver) {
        return Ok(());
    }
    let message = format!("unknown scheme of a PostgreSQL URL: expected a URL such as {EXPECTED}");
    Err(Error::new(ErrorKind::Config, message))
}

fn prepared_statements(url: &mut ServerUrl) -> Result<Option<bool>, Error> {
    if let Some((name, _)) = url.parameters.iter().find(|(name, _)| UNNAMED.contains(&name.as_str())) {
        let message = format!(
            "unknown parameter `{name}` in the URL: behind a pooler statements have no names by themselves; to say so, \
             write prepared_statements=false"
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

/// How a connection is encrypted; `None` for not at all.
fn tls(url: &mut ServerUrl, options: &PostgresOptions) -> Result<Option<(SslMode, Encryption)>, Error> {
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
        // As libpq: who asks for the system's CAs asks for all.
        None if is_system => TlsMode::VerifyFull,
        None => TlsMode::Prefer,
        Some(word) => TlsMode::parse(word)?,
    };
    files.check()?;
    let driver_s = match mode {
        TlsMode::Disable => return Ok(None),
        // As libpq that was built without TLS.
        TlsMode::Prefer if !cfg!(feature = "tls") => return Ok(None),
        TlsMode::Prefer => SslMode::Prefer,
        _ => SslMode::Require,
    };
    Ok(Some((driver_s, encryption::new(mode, &files)?)))
}

/// What the driver is to know, from the parts that are decoded already.
fn config(url: &ServerUrl) -> Result<Config, Error> {
    // The driver's own words for what a parameter is; they name it, and have nothing of a login.
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
        let message = format!("the URL names no host: expected a URL such as {EXPECTED}");
        return Err(Error::new(ErrorKind::Config, message));
    }
    if config.get_application_name().is_none() {
        config.application_name("ampoule");
    }
    Ok(config)
}

/// The parameters as libpq's pairs of name and value.
fn parameters(url: &ServerUrl) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    let pairs = url.parameters.iter().map(|(name, value)| format!("{name}='{}'", quoted(value)));
    pairs.collect::<Vec<_>>().join(" ")
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
    // Without one the server takes the role's name, which is a part of the login.
    config.get_dbname().map_or(hosts.clone(), |database| format!("{hosts}/{database}"))
}
