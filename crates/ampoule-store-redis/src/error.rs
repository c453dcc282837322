//! What Redis's errors mean to a session.

use ampoule_core::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind};

/// The error of a command.
pub(crate) fn from(cause: RedisError) -> Error {
    let (kind, what) = match cause.code() {
        Some("OOM") => (ErrorKind::Full, "Redis has no memory left for sessions"),
        Some("CORRUPT" | "WRONGTYPE") => (ErrorKind::Corrupt, "a key in Redis holds what was never put there"),
        Some("MISCONF") => (ErrorKind::Full, "Redis cannot write to its disk"),
        Some(_) => (ErrorKind::Unavailable, "Redis refused a command"),
        None if cause.is_timeout() => {
            (ErrorKind::Timeout, "Redis gave no answer in time (connect_timeout, command_timeout)")
        }
        None => (ErrorKind::Unavailable, "Redis cannot be reached"),
    };
    Error::new(kind, what).because(cause)
}

/// Whether the connection leads to nobody, or to a server that is no longer the master: another may do.
pub(crate) fn is_stale(cause: &RedisError) -> bool {
    let no_master = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(redis::ErrorKind::Server);
    (cause.is_io_error() && !cause.is_timeout()) || cause.is_connection_dropped() || no_master.contains(&cause.kind())
}

pub(crate) fn is_unknown_script(cause: &RedisError) -> bool {
    cause.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

pub(crate) fn no_random(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "no random number for a version").because(cause)
}
