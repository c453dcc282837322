//! What Redis's errors mean to a session, and what can be done about them. No message has a part of a login.

use std::error::Error as StdError;
use std::sync::Arc;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind};
use redis::{RedisError, ServerError, ServerErrorKind};

use crate::scripts;

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
        if let Some(what) = of_access(&cause) {
            return Error::new(ErrorKind::Unavailable, what);
        }
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

    /// The error of a command after a write that was done.
    pub(crate) fn into_follow_error(self) -> Error {
        if of_access(&self.cause).is_some() { self.into_read_error() } else { self.into_write_error() }
    }
}

/// Who may not get in, and why: logins, rights, TLS. The server's own words may name the user, and are not shown.
fn of_access(cause: &RedisError) -> Option<String> {
    if let Some(advice) = of_tls(cause) {
        return Some(format!("Redis cannot be reached by TLS: {advice}"));
    }
    match cause.code() {
        Some("NOPERM") => Some(missing_right(cause.detail().unwrap_or_default())),
        Some("ERR") => cause.detail().filter(|said| said.contains("user executing the script")).map(missing_right),
        Some("NOAUTH") => Some(NO_PASSWORD.to_owned()),
        Some("WRONGPASS") => Some(WRONG_LOGIN.to_owned()),
        _ if cause.kind() == redis::ErrorKind::AuthenticationFailed => Some(WRONG_LOGIN.to_owned()),
        Some(_) => None,
        None => cause.detail().and_then(of_text),
    }
}

/// Of a Cluster whose nodes cannot be connected the driver keeps the words alone.
fn of_text(said: &str) -> Option<String> {
    match said {
        said if said.contains("no permissions") => Some(missing_right(said)),
        said if said.contains("AuthenticationFailed") => Some(WRONG_LOGIN.to_owned()),
        said if said.contains("uthentication required") => Some(NO_PASSWORD.to_owned()),
        said if said.contains("invalid peer certificate") => {
            Some(format!("Redis cannot be reached by TLS: {said}; the file of its CA is tls_ca_file"))
        }
        _ => None,
    }
}

const NO_PASSWORD: &str =
    "Redis asks for a password, and the URL has none (redis://user:password@host; for a sentinel sentinel_password)";
const WRONG_LOGIN: &str = "Redis does not take the login: the user or the password of the URL is wrong";

/// The driver keeps the cause of what failed in an [`Arc`].
fn of_tls(cause: &RedisError) -> Option<String> {
    let inner = cause.source()?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?;
    explain(&**inner)
}

/// "User app has no permissions to run the 'zadd' command", "The user executing the script can't run this command", "No
/// permissions to access a key".
fn missing_right(said: &str) -> String {
    let named = || said.split('\'').nth(1).map(|command| format!("+{}", command.to_ascii_lowercase()));
    let right = if said.contains("can't") { scripts::rights_in_line(said) } else { named() };
    let right = match right {
        Some(right) => right,
        None if said.contains("key") => "its keys (~, the prefix and *)".to_owned(),
        None => "those that the docs of the store list".to_owned(),
    };
    format!("a right is missing in Redis: ACL SETUSER must give the user of the URL {right}")
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

/// The error of a write that waited for replicas until its time was over.
pub(crate) fn too_few(replicas: usize) -> Error {
    let message = format!("fewer than {replicas} replicas received a write in time (replicas)");
    Error::new(ErrorKind::Timeout, message)
}

pub(crate) fn all_wait() -> Error {
    Error::new(ErrorKind::Timeout, "all connections wait for replicas (max_connections, pool_timeout, replicas)")
}
