//! What MySQL's errors mean to a session, and what can be done about them. The numbers are those of its reference of server
//! errors, and of MariaDB's.
//!
//! A server's message is shown, unless it may name the user: no message of ours has a part of a login.

use std::time::Duration;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind};
use mysql_async::{DriverError, IoError, ServerError};

/// What may help where a statement has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another connection may do it. This one is of no use.
    Reconnect {
        /// Whether the statement may have been done all the same.
        maybe_done: bool,
    },
    /// To connect once more: nothing was done by then.
    Connect,
    /// The same again: the server rolled the statement back in favour of another.
    Again,
    /// To make the table.
    MakeTable,
    /// Nothing: the row is there already.
    Duplicate,
    /// Nothing that a store can do.
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
        1146 => Remedy::MakeTable,
        // A deadlock, also with a writer at another node.
        1213 | 3101 => Remedy::Again,
        // Read only by an option, for the transaction or the server; offline; not (yet) a node of its cluster: what a
        // switchover leaves behind. The server has refused the statement.
        1290 | 1792 | 1836 | 3032 | 1047 | 3100 | 3168 => Remedy::Reconnect { maybe_done: false },
        // The server is going down, or has ended the connection.
        1053 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => Remedy::Reconnect { maybe_done: true },
        _ => Remedy::None,
    }
}

/// The error of a statement or of connecting.
pub(crate) fn from(cause: mysql_async::Error) -> Error {
    match cause {
        mysql_async::Error::Server(server) => of_server(&server),
        mysql_async::Error::Driver(DriverError::PacketTooLarge) => too_large(),
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let message =
                "MySQL offers no TLS, and the URL asks for it: give the server a certificate, or write sslmode=disable";
            Error::new(ErrorKind::Unavailable, message)
        }
        mysql_async::Error::Io(cause) => match (explain(&cause), cause) {
            (Some(advice), _) => {
                Error::new(ErrorKind::Unavailable, format!("MySQL cannot be reached by TLS: {advice}"))
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

fn of_server(server: &ServerError) -> Error {
    let (kind, what) = match server.code {
        1153 | 1406 => return too_large(),
        1021 | 1114 => (ErrorKind::Full, "MySQL has no room on its disk"),
        1194 | 1712 => (ErrorKind::Corrupt, "the sessions' table is damaged"),
        1205 | 1213 | 3101 => (ErrorKind::Timeout, "other writers kept the sessions' rows locked"),
        1317 | 1969 | 3024 => (ErrorKind::Timeout, "MySQL gave a statement up that took too long (command_timeout)"),
        1045 | 1698 => (
            ErrorKind::Unavailable,
            "MySQL does not take the login: the user or the password of the URL is wrong, or this user must come by TLS \
             (sslmode), with a certificate (ssl-cert) or from another host",
        ),
        1044 => (ErrorKind::Unavailable, "the user of the URL has no right to its database: GRANT one"),
        1049 => (ErrorKind::Unavailable, "MySQL has no such database: create the one that the URL names"),
        1142 | 1143 => (
            ErrorKind::Unavailable,
            "a right is missing: GRANT SELECT, INSERT, UPDATE, DELETE on the sessions' table to the application's user, \
             and CREATE, INDEX or make the table beforehand",
        ),
        1130 => (ErrorKind::Unavailable, "MySQL takes no connection from this host for any user"),
        1040 | 1203 | 1226 => (
            ErrorKind::Unavailable,
            "MySQL has no connection left: lower max_connections here, or raise it at the server",
        ),
        3159 => (
            ErrorKind::Unavailable,
            "MySQL takes connections by TLS only: write sslmode=require, or better verify-full",
        ),
        1290 | 1792 | 1836 => {
            (ErrorKind::Unavailable, "MySQL takes no writes here: it is a replica, or set to read only")
        }
        _ => (ErrorKind::Unavailable, "MySQL refused a statement"),
    };
    Error::new(kind, what).because(shown(server))
}

/// What the server said, unless it may have said who the user is.
fn shown(server: &ServerError) -> String {
    let is_private = server.message.contains("user") || server.message.contains('@');
    if is_private { format!("ERROR {}", server.code) } else { format!("ERROR {}: {}", server.code, server.message) }
}

pub(crate) fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "a value is larger than MySQL takes (max_allowed_packet)")
}

pub(crate) fn no_table(table: &str) -> Error {
    let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
    Error::new(ErrorKind::Config, message)
}

pub(crate) fn no_answer(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("MySQL gave no answer within {limit:?} (command_timeout)"))
}

pub(crate) fn no_connection(limit: Duration) -> Error {
    let message = format!("MySQL gave no connection within {limit:?} (connect_timeout, pool_timeout)");
    Error::new(ErrorKind::Timeout, message)
}

/// A write that was sent twice, and the second time found nothing that tells what became of the first.
pub(crate) fn unknown() -> Error {
    let message = "the connection to MySQL broke during a write, which may or may not have happened";
    Error::new(ErrorKind::Timeout, message)
}

pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "the sessions' table holds what was never put into it")
}

pub(crate) fn no_time() -> Error {
    Error::new(ErrorKind::Unavailable, "MySQL did not return its time")
}

pub(crate) fn broken_off(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unavailable, "the MySQL store's work was broken off").because(cause)
}
