//! What Redis's errors mean to a session.

use ampoule_core::{Error, ErrorKind};
use redis::{RedisError, ServerError, ServerErrorKind};

/// A command that got no answer, or an error.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) cause: RedisError,
    /// Whether it may have been carried out.
    pub(crate) sent: bool,
}

impl Failed {
    /// The same, of a command that was sent before.
    pub(crate) fn after(self, sent: bool) -> Failed {
        Failed { sent: self.sent || sent, ..self }
    }

    /// The error of a command that reads.
    pub(crate) fn into_read_error(self) -> Error {
        let cause = self.cause;
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

    /// The error of a command that writes.
    pub(crate) fn into_write_error(self) -> Error {
        if !self.sent || self.cause.is_timeout() {
            return self.into_read_error();
        }
        let message = "the connection to Redis broke before it answered; a write may or may not have happened";
        Error::new(ErrorKind::Timeout, message).because(self.cause)
    }
}

/// The error of a conditional write that was sent twice and refused.
pub(crate) fn unknown() -> Error {
    let message = "a write was sent to Redis twice, since the connection broke, and refused the second time; the first \
        may have happened";
    Error::new(ErrorKind::Timeout, message)
}

/// Whether the connection leads nowhere, or to a server that is no longer the master: a new one may help.
pub(crate) fn is_stale(cause: &RedisError) -> bool {
    let no_master = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(redis::ErrorKind::Server);
    (cause.is_io_error() && !cause.is_timeout()) || cause.is_connection_dropped() || no_master.contains(&cause.kind())
}

pub(crate) fn is_unknown_script(cause: &RedisError) -> bool {
    cause.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

pub(crate) fn says_unknown_script(answer: &ServerError) -> bool {
    answer.kind() == Some(ServerErrorKind::NoScript)
}

pub(crate) fn no_random(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "no random number for a version").because(cause)
}
