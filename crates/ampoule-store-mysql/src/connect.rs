//! From a URL to what a pool is made of.

use std::path::PathBuf;
use std::time::Duration;

use ampoule_core::internal::ServerUrl;
use ampoule_core::internal::tls::{TlsFiles, TlsMode, check_provider};
use ampoule_core::{Error, ErrorKind};
use mysql_async::{Opts, OptsBuilder, PoolConstraints, PoolOpts, SslOpts};

use crate::encryption;
use crate::options::MySqlOptions;

const EXPECTED: &str = "mysql://user:password@host:3306/database?sslmode=verify-full";

/// Drivers that SQLAlchemy's URLs name. What they lead to is the same.
const DRIVERS: [&str; 8] =
    ["pymysql", "mysqldb", "mysqlconnector", "mariadbconnector", "aiomysql", "asyncmy", "cymysql", "mysqlclient"];

/// Parameters that the driver is asked for as they are.
const DRIVER: [&str; 4] = ["compression", "tcp_nodelay", "enable_cleartext_plugin", "secure_auth"];

/// Parameters that are read here: with MySQL's names, with libpq's, and with those of other drivers.
const MODE: [&str; 3] = ["sslmode", "ssl-mode", "ssl_mode"];
const CA: [&str; 3] = ["ssl-ca", "ssl_ca", "sslrootcert"];
const CERT: [&str; 3] = ["ssl-cert", "ssl_cert", "sslcert"];
const KEY: [&str; 3] = ["ssl-key", "ssl_key", "sslkey"];
const SOCKET: [&str; 2] = ["socket", "unix_socket"];
const SWITCHES: [&str; 3] = ["require_ssl", "verify_ca", "verify_identity"];
const CHARSET: [&str; 1] = ["charset"];

/// How long an idle connection is kept: less than what a proxy or a firewall between grants it.
const IDLE: Duration = Duration::from_secs(60);

/// What a pool is made of, and in a few words where it leads.
pub(crate) fn opts(text: &str, options: &MySqlOptions) -> Result<(Opts, String), Error> {
    let mut url = ServerUrl::parse(text, EXPECTED)?;
    check_scheme(&url)?;
    let socket = url.take(&SOCKET);
    // All that is sent is bytes and numbers, in any of them.
    url.take(&CHARSET);
    let ssl = ssl(&mut url, options, socket.is_some())?;
    url.reject_unknown(&[&DRIVER[..], &MODE, &CA, &CERT, &KEY, &SOCKET, &SWITCHES, &CHARSET].concat())?;
    let host = match (url.hosts.as_slice(), &socket) {
        ([host], _) => host.name.clone(),
        ([], Some(_)) => "localhost".to_owned(),
        _ => return Err(config(format!("the URL names not one host: expected a URL such as {EXPECTED}"))),
    };
    let port = url.hosts.first().and_then(|host| host.port).unwrap_or(3306);
    let place = match &socket {
        Some(socket) => format!("{socket}/{}", url.path),
        None => url.location(3306),
    };
    let constraints = PoolConstraints::new(0, options.pool.max_connections.max(1)).unwrap_or_default();
    // A reset would forget the prepared statements; nothing that we do needs one.
    let pool = PoolOpts::new().with_constraints(constraints).with_reset_connection(false);
    let builder = OptsBuilder::from_opts(driver_s(&url)?)
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(url.user)
        .pass(url.password)
        .db_name(Some(url.path).filter(|name| !name.is_empty()))
        .socket(socket)
        .ssl_opts(ssl)
        // Without it the driver hangs up after each statement.
        .pool_opts(pool.with_inactive_connection_ttl(IDLE))
        .prefer_socket(false)
        .tcp_keepalive(Some(Duration::from_secs(10)))
        .setup(set_up(options.pool.command_timeout));
    Ok((builder.into(), place))
}

/// What a connection begins with. The server itself ends what takes too long, since it continues with a statement whose client
/// has gone: MariaDB any, MySQL what waits for a lock, which it counts in seconds.
fn set_up(limit: Duration) -> Vec<String> {
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
    let (family, driver) = url.scheme.split_once('+').unwrap_or((&url.scheme, DRIVERS[0]));
    if ["mysql", "mariadb"].contains(&family) && DRIVERS.contains(&driver) {
        return Ok(());
    }
    Err(config(format!("unknown scheme of a MySQL URL: expected a URL such as {EXPECTED}")))
}

/// The parameters that are the driver's own, as it reads them.
fn driver_s(url: &ServerUrl) -> Result<Opts, Error> {
    let query: Vec<String> = url.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let wrong = |cause: mysql_async::UrlError| config(format!("a parameter of the URL is wrong: {cause}"));
    Opts::from_url(&format!("mysql://localhost?{}", query.join("&"))).map_err(wrong)
}

/// How a connection is encrypted; `None` for not at all, which is the default.
fn ssl(url: &mut ServerUrl, options: &MySqlOptions, socket: bool) -> Result<Option<SslOpts>, Error> {
    let file = |found: Option<String>, given: &Option<PathBuf>| found.map(PathBuf::from).or_else(|| given.clone());
    let files = TlsFiles {
        ca: file(url.take(&CA), &options.tls.ca),
        cert: file(url.take(&CERT), &options.tls.cert),
        key: file(url.take(&KEY), &options.tls.key),
    };
    let switches = switches(url)?;
    let mode = match url.take(&MODE) {
        Some(word) => TlsMode::parse(&word)?,
        // Files that are given are not given for nothing.
        None if files != TlsFiles::default() && !socket => switches.unwrap_or(TlsMode::VerifyFull),
        None => switches.unwrap_or(TlsMode::Disable),
    };
    if mode == TlsMode::Disable {
        return Ok(None);
    }
    check_provider()?;
    if mode == TlsMode::Prefer {
        return Err(config(
            "sslmode=prefer: the MySQL driver does not fall back: write disable, require or verify-full",
        ));
    }
    // mysql_async 0.37 knows an error about the name by a word that rustls no longer says.
    if mode == TlsMode::VerifyCa || mode == TlsMode::Require && files.ca.is_some() {
        return Err(config(
            "the MySQL driver cannot verify a CA without the host's name: write sslmode=verify-full and connect by a name \
             that the server's certificate has",
        ));
    }
    if socket {
        return Err(config(
            "a socket of this machine is not encrypted: remove the parameters for TLS, or connect by TCP",
        ));
    }
    files.check()?;
    Ok(Some(encryption::new(mode, files)))
}

/// The driver's own three words for a mode.
fn switches(url: &mut ServerUrl) -> Result<Option<TlsMode>, Error> {
    let mut switch = |name: &str| match url.take(&[name]).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(config(format!("{name} in the URL: expected true or false"))),
    };
    let [require, authority, identity] = [switch(SWITCHES[0])?, switch(SWITCHES[1])?, switch(SWITCHES[2])?];
    Ok(require.map(|require| match (require, authority, identity) {
        (false, ..) => TlsMode::Disable,
        (true, Some(false), _) => TlsMode::Require,
        (true, _, Some(false)) => TlsMode::VerifyCa,
        (true, ..) => TlsMode::VerifyFull,
    }))
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}
