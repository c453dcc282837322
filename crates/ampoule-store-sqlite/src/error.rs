//! What SQLite's errors mean to a session.

use ampoule_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// The error of an operation.
pub(crate) fn from(cause: rusqlite::Error) -> Error {
    let (kind, what) = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Timeout, "another process keeps the session database locked")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Full, "the session database has no room on its disk"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the session database is damaged")
        }
        Some(ErrorCode::TooBig) => (ErrorKind::TooLarge, "a value is larger than SQLite holds"),
        None => (ErrorKind::Corrupt, "the session table holds what was never put into it"),
        _ => (ErrorKind::Unavailable, "the session database cannot be used"),
    };
    Error::new(kind, what).because(cause)
}

/// The error of opening, where a file that is not a database is a mistake in the configuration.
pub(crate) fn at_start(cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            Error::new(ErrorKind::Config, "the session database is a file of something else").because(cause)
        }
        _ => from(cause),
    }
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
