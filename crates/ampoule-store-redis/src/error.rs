//! The errors of Redis, mapped to [`ErrorKind`], with what to do about them. No message contains a part of a login.

use std::error::Error as StdError;
use std::sync::Arc;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind};
use redis::{RedisError, ServerError, ServerErrorKind};

use crate::{format, scripts};

/// The failure of a command: an error from the server, or no response.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) cause: RedisError,
    /// Whether the server may have executed the command.
    pub(crate) may_have_run: bool,
}

impl CommandError {
    /// Adds an earlier attempt, which the server may have executed.
    pub(crate) fn after_attempt(self, may_have_run: bool) -> CommandError {
        CommandError { may_have_run: self.may_have_run || may_have_run, ..self }
    }

    /// Returns the error for a command that reads.
    pub(crate) fn into_read_error(self) -> Error {
        let cause = self.cause;
        if let Some(what) = access_problem(&cause) {
            return Error::new(ErrorKind::Unavailable, what);
        }
        let (kind, what) = match cause.code() {
            Some("OOM") => (ErrorKind::Full, "Redis is out of memory (its option maxmemory)"),
            Some("CORRUPT" | "WRONGTYPE") => (ErrorKind::Corrupt, format::CORRUPT_KEY),
            Some("MISCONF") => (ErrorKind::Full, "Redis cannot write to its disk"),
            Some(_) => (ErrorKind::Unavailable, "Redis rejected a command"),
            None if cause.is_timeout() => {
                (ErrorKind::Timeout, "Redis did not answer in time (connect_timeout, command_timeout)")
            }
            None => (ErrorKind::Unavailable, "Redis cannot be reached"),
        };
        Error::new(kind, what).because(cause)
    }

    /// Returns the error for a command that writes.
    pub(crate) fn into_write_error(self) -> Error {
        if !self.may_have_run || self.cause.is_timeout() {
            return self.into_read_error();
        }
        let message = "the connection to Redis broke during a write, which may have been executed";
        Error::new(ErrorKind::Timeout, message).because(self.cause)
    }

    /// Returns the error for a command that was sent after a successful write.
    pub(crate) fn into_error_after_write(self) -> Error {
        if access_problem(&self.cause).is_some() { self.into_read_error() } else { self.into_write_error() }
    }
}

/// Returns what is wrong with the login, the permissions or TLS, if the error is about one of them. The server's own
/// text may contain the user's name, so it is not shown.
fn access_problem(cause: &RedisError) -> Option<String> {
    if let Some(advice) = explain_tls(cause) {
        return Some(format!("Redis cannot be reached over TLS: {advice}"));
    }
    match cause.code() {
        Some("NOPERM") => Some(missing_permission(cause.detail().unwrap_or_default())),
        Some("ERR") => cause.detail().filter(|text| text.contains("user executing the script")).map(missing_permission),
        Some("NOAUTH") => Some(MISSING_PASSWORD.to_owned()),
        Some("WRONGPASS") => Some(WRONG_LOGIN.to_owned()),
        _ if cause.kind() == redis::ErrorKind::AuthenticationFailed => Some(WRONG_LOGIN.to_owned()),
        Some(_) => None,
        None => cause.detail().and_then(access_problem_in_text),
    }
}

/// Does the same for a Cluster whose nodes cannot be reached: the driver keeps only the texts of their errors.
fn access_problem_in_text(text: &str) -> Option<String> {
    match text {
        text if text.contains("no permissions") => Some(missing_permission(text)),
        text if text.contains("AuthenticationFailed") => Some(WRONG_LOGIN.to_owned()),
        text if text.contains("uthentication required") => Some(MISSING_PASSWORD.to_owned()),
        text if text.contains("invalid peer certificate") => {
            Some(format!("Redis cannot be reached over TLS: {text}; set the file of its CA (tls_ca_file)"))
        }
        _ => None,
    }
}

const MISSING_PASSWORD: &str = "Redis requires a password, but the URL has none: write redis://user:password@host, and for \
                                sentinels the parameter sentinel_password";
const WRONG_LOGIN: &str = "Redis rejected the login: the user or the password in the URL is wrong";

/// The driver wraps the cause in an [`Arc`].
fn explain_tls(cause: &RedisError) -> Option<String> {
    let inner = cause.source()?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?;
    explain(&**inner)
}

/// Returns the message for an error such as "User app has no permissions to run the 'zadd' command", "The user
/// executing the script can't run this command" or "No permissions to access a key".
fn missing_permission(text: &str) -> String {
    let command = || text.split('\'').nth(1).map(|command| format!("+{}", command.to_ascii_lowercase()));
    let missing = if text.contains("can't") { scripts::permissions_in_line(text) } else { command() };
    let missing = match missing {
        Some(missing) => missing,
        None if text.contains("key") => "its keys (`~` with the prefix and `*`)".to_owned(),
        None => "the permissions in the documentation of the store".to_owned(),
    };
    format!("permission denied: grant the user in the URL {missing} with ACL SETUSER")
}

/// Returns the error for a conditional write that was sent twice, and whose condition did not hold the second time.
pub(crate) fn unknown_outcome() -> Error {
    let message = "a write to Redis was sent again after its connection broke, and had no effect; the first attempt may \
                   have been executed";
    Error::new(ErrorKind::Timeout, message)
}

/// Returns whether the connection is broken, or its server is no longer the master, so that a new connection may help.
pub(crate) fn is_stale(cause: &RedisError) -> bool {
    let no_master = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(redis::ErrorKind::Server);
    (cause.is_io_error() && !cause.is_timeout()) || cause.is_connection_dropped() || no_master.contains(&cause.kind())
}

pub(crate) fn is_unknown_script(cause: &RedisError) -> bool {
    cause.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

pub(crate) fn is_no_script(error: &ServerError) -> bool {
    error.kind() == Some(ServerErrorKind::NoScript)
}

/// Returns the error for a write that too few replicas received within its time limit.
pub(crate) fn too_few_replicas(replicas: usize) -> Error {
    let message = format!("fewer than {replicas} replicas received a write in time (replicas, command_timeout)");
    Error::new(ErrorKind::Timeout, message)
}

/// Returns the error for a write that could not get a connection that waits for replicas.
pub(crate) fn no_free_connection() -> Error {
    Error::new(ErrorKind::Timeout, "all connections are waiting for replicas (max_connections, pool_timeout, replicas)")
}
