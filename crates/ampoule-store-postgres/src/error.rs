//! What PostgreSQL's errors mean to a session.

use ampoule_core::{Error, ErrorKind, StoreKey};
use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

/// The error of a statement. An undefined table is [`ErrorKind::Config`].
pub(crate) fn from(cause: tokio_postgres::Error) -> Error {
    let (kind, what) = match cause.code() {
        Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
            (ErrorKind::Config, "the sessions' table is missing")
        }
        Some(code) if *code == SqlState::DISK_FULL => (ErrorKind::Full, "PostgreSQL has no room on its disk"),
        Some(code) if *code == SqlState::PROGRAM_LIMIT_EXCEEDED => {
            (ErrorKind::TooLarge, "a value is larger than PostgreSQL holds")
        }
        Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            (ErrorKind::Corrupt, "the sessions' table is damaged")
        }
        Some(_) => (ErrorKind::Unavailable, "PostgreSQL refused a statement"),
        None => (ErrorKind::Unavailable, "PostgreSQL cannot be reached"),
    };
    Error::new(kind, what).because(Told(cause))
}

/// Whether the connection, and not the statement, was at fault.
pub(crate) fn is_broken(cause: &tokio_postgres::Error) -> bool {
    let ended = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::IDLE_SESSION_TIMEOUT];
    match cause.code() {
        Some(code) => ended.contains(code),
        None => {
            cause.is_closed() || std::error::Error::source(cause).is_some_and(|source| source.is::<std::io::Error>())
        }
    }
}

pub(crate) fn of_pool(cause: PoolError) -> Error {
    match cause {
        PoolError::Backend(cause) => from(cause),
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::new(ErrorKind::Timeout, "no connection of the pool was free in time (pool_timeout)")
        }
        PoolError::Timeout(_) => {
            Error::new(ErrorKind::Timeout, "PostgreSQL could not be connected in time (connect_timeout)")
        }
        cause => Error::new(ErrorKind::Unavailable, "the pool of connections gives none").because(cause),
    }
}

/// A write that was sent twice, and the second time found nothing that tells what became of the first.
pub(crate) fn unknown() -> Error {
    let message = "the connection to PostgreSQL broke during a write, which may or may not have happened";
    Error::new(ErrorKind::Timeout, message)
}

/// The key that a row names.
pub(crate) fn key(id: &[u8]) -> Result<StoreKey, Error> {
    let bytes = id.try_into().map_err(|_| Error::new(ErrorKind::Corrupt, "a row's id is not 32 bytes long"))?;
    Ok(StoreKey::new(bytes))
}

pub(crate) fn no_time() -> Error {
    Error::new(ErrorKind::Unavailable, "PostgreSQL did not return its time")
}

pub(crate) fn no_random(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "no random number for a version").because(cause)
}

/// The driver's error with what the server said, which it keeps to its source.
#[derive(Debug)]
struct Told(tokio_postgres::Error);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::error::Error::source(&self.0) {
            Some(source) => write!(f, "{}: {source}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
