//! What MySQL's errors mean to a session. The numbers are those of its reference of server errors.

use ampoule_core::{Error, ErrorKind};
use mysql_async::DriverError;

/// The error of a statement or of connecting.
pub(crate) fn from(cause: mysql_async::Error) -> Error {
    let (kind, what) = match &cause {
        mysql_async::Error::Server(server) => of_server(server.code),
        mysql_async::Error::Driver(DriverError::PacketTooLarge) => TOO_LARGE,
        mysql_async::Error::Driver(DriverError::ConnectionClosed | DriverError::PoolDisconnected)
        | mysql_async::Error::Io(_) => (ErrorKind::Unavailable, "MySQL cannot be reached"),
        _ => (ErrorKind::Unavailable, "MySQL cannot be used"),
    };
    Error::new(kind, what).because(cause)
}

const TOO_LARGE: (ErrorKind, &str) = (ErrorKind::TooLarge, "a value is larger than MySQL takes (max_allowed_packet)");

fn of_server(code: u16) -> (ErrorKind, &'static str) {
    match code {
        1153 | 1406 => TOO_LARGE,
        1021 | 1114 => (ErrorKind::Full, "MySQL has no room on its disk"),
        1194 | 1712 => (ErrorKind::Corrupt, "the sessions' table is damaged"),
        1205 | 1213 => (ErrorKind::Timeout, "others kept the sessions' rows locked"),
        _ => (ErrorKind::Unavailable, "MySQL refused a statement"),
    }
}

/// Whether the connection, and not the statement, was at fault.
pub(crate) fn is_broken(cause: &mysql_async::Error) -> bool {
    match cause {
        mysql_async::Error::Io(_) | mysql_async::Error::Driver(DriverError::ConnectionClosed) => true,
        // The server is going down, or has closed an idle connection.
        mysql_async::Error::Server(server) => [1053, 1927, 4031].contains(&server.code),
        _ => false,
    }
}

pub(crate) fn is_deadlock(cause: &mysql_async::Error) -> bool {
    has_code(cause, 1213)
}

pub(crate) fn is_duplicate(cause: &mysql_async::Error) -> bool {
    has_code(cause, 1062)
}

pub(crate) fn is_missing_table(cause: &mysql_async::Error) -> bool {
    has_code(cause, 1146)
}

fn has_code(cause: &mysql_async::Error, code: u16) -> bool {
    matches!(cause, mysql_async::Error::Server(server) if server.code == code)
}

pub(crate) fn too_large() -> Error {
    let (kind, what) = TOO_LARGE;
    Error::new(kind, what)
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

pub(crate) fn no_random(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "no random number for a version").because(cause)
}

pub(crate) fn broken_off(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unavailable, "the MySQL store's work was broken off").because(cause)
}
