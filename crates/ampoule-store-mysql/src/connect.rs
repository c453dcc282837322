//! Creates the options of a pool from a URL.

use std::path::PathBuf;
use std::time::Duration;

use ampoule_core::internal::ServerUrl;
use ampoule_core::internal::tls::{TlsFiles, TlsMode, check_provider};
use ampoule_core::{Error, ErrorKind};
use mysql_async::{Opts, OptsBuilder, PoolConstraints, PoolOpts, SslOpts};

use crate::options::MySqlOptions;
use crate::tls;

const EXPECTED: &str = "mysql://user:password@host:3306/database?sslmode=verify-full";

/// The drivers of Python that a URL of SQLAlchemy may name, as in `mysql+pymysql`. They make no difference here.
const PYTHON_DRIVERS: [&str; 8] =
    ["pymysql", "mysqldb", "mysqlconnector", "mariadbconnector", "aiomysql", "asyncmy", "cymysql", "mysqlclient"];

/// Parameters that are passed to the driver.
const DRIVER_PARAMETERS: [&str; 4] = ["compression", "tcp_nodelay", "enable_cleartext_plugin", "secure_auth"];

/// Parameters that the store reads itself, by their names in MySQL, libpq and other drivers.
const MODE_NAMES: [&str; 3] = ["sslmode", "ssl-mode", "ssl_mode"];
const CA_NAMES: [&str; 3] = ["ssl-ca", "ssl_ca", "sslrootcert"];
const CERT_NAMES: [&str; 3] = ["ssl-cert", "ssl_cert", "sslcert"];
const KEY_NAMES: [&str; 3] = ["ssl-key", "ssl_key", "sslkey"];
const SOCKET_NAMES: [&str; 2] = ["socket", "unix_socket"];
const TLS_FLAGS: [&str; 3] = ["require_ssl", "verify_ca", "verify_identity"];
const CHARSET_NAMES: [&str; 1] = ["charset"];

/// How long an idle connection is kept: less than a proxy or a firewall usually keeps one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the options of a pool, and its location for messages: host, port and database.
pub(crate) fn opts(text: &str, options: &MySqlOptions) -> Result<(Opts, String), Error> {
    let mut url = ServerUrl::parse(text, EXPECTED)?;
    check_scheme(&url)?;
    let socket = url.take(&SOCKET_NAMES);
    // The character set does not matter, since all values are bytes and numbers.
    url.take(&CHARSET_NAMES);
    let ssl = ssl(&mut url, options, socket.is_some())?;
    url.reject_unknown(
        &[
            &DRIVER_PARAMETERS[..],
            &MODE_NAMES,
            &CA_NAMES,
            &CERT_NAMES,
            &KEY_NAMES,
            &SOCKET_NAMES,
            &TLS_FLAGS,
            &CHARSET_NAMES,
        ]
        .concat(),
    )?;
    let host = match (url.hosts.as_slice(), &socket) {
        ([host], _) => host.name.clone(),
        ([], Some(_)) => "localhost".to_owned(),
        _ => return Err(config_error(format!("the URL must have one host: expected a URL such as {EXPECTED}"))),
    };
    let port = url.hosts.first().and_then(|host| host.port).unwrap_or(3306);
    let location = match &socket {
        Some(socket) => format!("{socket}/{}", url.path),
        None => url.location(3306),
    };
    let constraints = PoolConstraints::new(0, options.pool.max_connections.max(1)).unwrap_or_default();
    // A reset would discard the prepared statements, and no statement of the store needs one.
    let pool = PoolOpts::new().with_constraints(constraints).with_reset_connection(false);
    let builder = OptsBuilder::from_opts(driver_opts(&url)?)
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(url.user)
        .pass(url.password)
        .db_name(Some(url.path).filter(|name| !name.is_empty()))
        .socket(socket)
        .ssl_opts(ssl)
        // Without a TTL the driver closes a connection after each statement.
        .pool_opts(pool.with_inactive_connection_ttl(IDLE_TIMEOUT))
        .prefer_socket(false)
        .tcp_keepalive(Some(Duration::from_secs(10)))
        .setup(session_setup(options.pool.command_timeout));
    Ok((builder.into(), location))
}

/// Returns the statements that configure a new connection. They set time limits on the server, which otherwise
/// continues a statement after its client has disconnected. MariaDB limits every statement; MySQL limits waiting for a
/// lock, in whole seconds.
fn session_setup(limit: Duration) -> Vec<String> {
    let seconds = limit.as_secs_f64().ceil().max(1.0);
    let limit = limit.as_secs_f64().max(0.001);
    vec![
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
        format!(
            "SET SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds} \
             /*M! , SESSION max_statement_time = {limit:.3} */"
        ),
    ]
}

fn check_scheme(url: &ServerUrl) -> Result<(), Error> {
    let (family, driver) = url.scheme.split_once('+').unwrap_or((&url.scheme, PYTHON_DRIVERS[0]));
    if ["mysql", "mariadb"].contains(&family) && PYTHON_DRIVERS.contains(&driver) {
        return Ok(());
    }
    Err(config_error(format!("unknown scheme of a MySQL URL: expected a URL such as {EXPECTED}")))
}

/// Returns the parameters that the driver itself parses.
fn driver_opts(url: &ServerUrl) -> Result<Opts, Error> {
    let query: Vec<String> = url.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let invalid = |cause: mysql_async::UrlError| config_error(format!("invalid parameter in the URL: {cause}"));
    Opts::from_url(&format!("mysql://localhost?{}", query.join("&"))).map_err(invalid)
}

/// Returns how connections are encrypted; `None` if they are not, which is the default.
fn ssl(url: &mut ServerUrl, options: &MySqlOptions, is_socket: bool) -> Result<Option<SslOpts>, Error> {
    let file = |in_url: Option<String>, option: &Option<PathBuf>| in_url.map(PathBuf::from).or_else(|| option.clone());
    let files = TlsFiles {
        ca: file(url.take(&CA_NAMES), &options.tls.ca),
        cert: file(url.take(&CERT_NAMES), &options.tls.cert),
        key: file(url.take(&KEY_NAMES), &options.tls.key),
        ..TlsFiles::default()
    };
    let mode_of_flags = mode_of_flags(url)?;
    let mode = match url.take(&MODE_NAMES) {
        Some(word) => TlsMode::parse(&word)?,
        // If files are set, TLS is wanted.
        None if files != TlsFiles::default() && !is_socket => mode_of_flags.unwrap_or(TlsMode::VerifyFull),
        None => mode_of_flags.unwrap_or(TlsMode::Disable),
    };
    if mode == TlsMode::Disable {
        return Ok(None);
    }
    check_provider()?;
    if mode == TlsMode::Prefer {
        return Err(config_error(
            "the MySQL driver does not support sslmode=prefer: write disable, require or verify-full",
        ));
    }
    // mysql_async 0.37 recognizes a wrong host name by a message that rustls no longer has.
    if mode == TlsMode::VerifyCa || mode == TlsMode::Require && files.ca.is_some() {
        return Err(config_error(
            "the MySQL driver cannot verify the CA without the host name: write sslmode=verify-full, and a host name \
             that the server's certificate has",
        ));
    }
    if is_socket {
        return Err(config_error(
            "connections through a Unix socket are not encrypted: remove the parameters for TLS, or connect by TCP",
        ));
    }
    files.check()?;
    Ok(Some(tls::ssl_opts(mode, files)))
}

/// Returns the TLS mode that the driver's own parameters select.
fn mode_of_flags(url: &mut ServerUrl) -> Result<Option<TlsMode>, Error> {
    let mut flag = |name: &str| match url.take(&[name]).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(config_error(format!("{name} in the URL: expected true or false"))),
    };
    let [require, verify_ca, verify_identity] = [flag(TLS_FLAGS[0])?, flag(TLS_FLAGS[1])?, flag(TLS_FLAGS[2])?];
    Ok(require.map(|require| match (require, verify_ca, verify_identity) {
        (false, ..) => TlsMode::Disable,
        (true, Some(false), _) => TlsMode::Require,
        (true, _, Some(false)) => TlsMode::VerifyCa,
        (true, ..) => TlsMode::VerifyFull,
    }))
}

fn config_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}
