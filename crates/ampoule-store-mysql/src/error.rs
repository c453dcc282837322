//! Translates MySQL's errors, and decides what may help. The codes are listed in the error references of MySQL and
//! MariaDB.
//!
//! An error includes the server's message, unless the message may name the user: no error contains a part of a login.

use std::time::Duration;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind};
use mysql_async::{DriverError, IoError, ServerError};

/// What may help after a statement has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Send the statement on another connection. This one cannot be used any more.
    Reconnect {
        /// Whether the server may have executed the statement.
        maybe_done: bool,
    },
    /// Connect again: the statement was not sent.
    RetryConnect,
    /// Send the statement again: the server rolled it back in favour of another.
    Retry,
    /// Create the table.
    CreateTable,
    /// Nothing needs help: the row exists already.
    Duplicate,
    /// The store can do nothing.
    None,
}

pub(crate) fn remedy(cause: &mysql_async::Error) -> Remedy {
    let code = match cause {
        mysql_async::Error::Server(server) => server.code,
        mysql_async::Error::Io(_) | mysql_async::Error::Driver(DriverError::ConnectionClosed) => {
            return Remedy::Reconnect { maybe_done: true };
        }
        _ => return Remedy::None,
    };
    match code {
        1062 => Remedy::Duplicate,
        1146 => Remedy::CreateTable,
        // A deadlock, or a conflict with a writer on another node.
        1213 | 3101 => Remedy::Retry,
        // After a switchover: the server or the transaction is read-only, or the server is offline or not a node of its
        // cluster. It has rejected the statement.
        1290 | 1792 | 1836 | 3032 | 1047 | 3100 | 3168 => Remedy::Reconnect { maybe_done: false },
        // The server is shutting down, or has closed the connection.
        1053 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => Remedy::Reconnect { maybe_done: true },
        _ => Remedy::None,
    }
}

/// Returns the error of a statement or of an attempt to connect.
pub(crate) fn from(cause: mysql_async::Error) -> Error {
    match cause {
        mysql_async::Error::Server(server) => from_server(&server),
        mysql_async::Error::Driver(DriverError::PacketTooLarge) => too_large(),
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let message =
                "MySQL offers no TLS, but the URL requires it: set up a certificate there, or write sslmode=disable";
            Error::new(ErrorKind::Unavailable, message)
        }
        mysql_async::Error::Io(cause) => match (explain(&cause), cause) {
            (Some(advice), _) => {
                Error::new(ErrorKind::Unavailable, format!("MySQL cannot be reached over TLS: {advice}"))
            }
            (None, IoError::Io(cause)) => unreachable().because(cause),
            #[cfg(feature = "tls")]
            (None, cause) => unreachable().because(cause.to_string()),
        },
        mysql_async::Error::Driver(DriverError::ConnectionClosed | DriverError::PoolDisconnected) => unreachable(),
        mysql_async::Error::Driver(cause) => {
            Error::new(ErrorKind::Unavailable, "MySQL cannot be used").because(cause.to_string())
        }
        cause => Error::new(ErrorKind::Unavailable, "MySQL cannot be used").because(cause.to_string()),
    }
}

fn unreachable() -> Error {
    Error::new(ErrorKind::Unavailable, "MySQL cannot be reached")
}

fn from_server(server: &ServerError) -> Error {
    let (kind, what) = match server.code {
        1153 | 1406 => return too_large(),
        1021 | 1114 => (ErrorKind::Full, "MySQL's disk is full"),
        1194 | 1712 => (ErrorKind::Corrupt, "the store's table is damaged"),
        1205 | 1213 | 3101 => (ErrorKind::Timeout, "other writers kept the store's rows locked"),
        1317 | 1969 | 3024 => {
            (ErrorKind::Timeout, "MySQL cancelled a statement that exceeded its time limit (command_timeout)")
        }
        1045 | 1698 => (
            ErrorKind::Unavailable,
            "MySQL rejected the login: the user or the password in the URL is wrong, or this user needs TLS (sslmode), \
             a certificate (ssl-cert) or another host",
        ),
        1044 => (ErrorKind::Unavailable, "the user in the URL may not use the database: GRANT a privilege on it"),
        1049 => (ErrorKind::Unavailable, "MySQL has no such database: create the one that the URL names"),
        1142 | 1143 => (
            ErrorKind::Unavailable,
            "permission denied: GRANT SELECT, INSERT, UPDATE, DELETE on the store's table to the application's user, \
             and CREATE, INDEX, or create the table beforehand",
        ),
        1130 => (ErrorKind::Unavailable, "MySQL accepts no connections from this host"),
        1040 | 1203 | 1226 => (
            ErrorKind::Unavailable,
            "MySQL has no connection left: lower max_connections here, or raise it at the server",
        ),
        3159 => (
            ErrorKind::Unavailable,
            "MySQL accepts only connections with TLS: write sslmode=require, or better verify-full",
        ),
        1290 | 1792 | 1836 => (ErrorKind::Unavailable, "MySQL accepts no writes: it is a replica, or set to read-only"),
        _ => (ErrorKind::Unavailable, "MySQL rejected a statement"),
    };
    Error::new(kind, what).because(without_login(server))
}

/// Returns the server's code and message, or only its code if the message may name the user.
fn without_login(server: &ServerError) -> String {
    let is_private = server.message.contains("user") || server.message.contains('@');
    if is_private { format!("ERROR {}", server.code) } else { format!("ERROR {}: {}", server.code, server.message) }
}

pub(crate) fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "a value is larger than MySQL accepts (max_allowed_packet)")
}

pub(crate) fn missing_table(table: &str) -> Error {
    let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
    Error::new(ErrorKind::Config, message)
}

pub(crate) fn no_answer(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("MySQL did not answer within {limit:?} (command_timeout)"))
}

pub(crate) fn no_connection(limit: Duration) -> Error {
    let message = format!("no connection to MySQL became available within {limit:?} (connect_timeout, pool_timeout)");
    Error::new(ErrorKind::Timeout, message)
}

/// Returns the error of a write that was sent twice, if the second one cannot tell whether the first was executed.
pub(crate) fn unknown_outcome() -> Error {
    let message = "the connection to MySQL broke during a write, which may have been executed";
    Error::new(ErrorKind::Timeout, message)
}

pub(crate) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "the store's table is damaged: a column has an unexpected value")
}

pub(crate) fn no_time() -> Error {
    Error::new(ErrorKind::Unavailable, "MySQL did not return its time")
}

pub(crate) fn task_failed(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unavailable, "an operation of the MySQL store was aborted").because(cause)
}
