//! The errors of SQLite, mapped to [`ErrorKind`].

use ampoule_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Returns the error for an operation.
pub(crate) fn from(cause: rusqlite::Error) -> Error {
    let (kind, what) = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Timeout, "another process keeps the store's database locked")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Full, "the disk of the store's database is full"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the store's database is damaged")
        }
        Some(ErrorCode::TooBig) => (ErrorKind::TooLarge, "a value is larger than SQLite supports"),
        None => (ErrorKind::Corrupt, "the store's table contains data that this store did not write"),
        _ => (ErrorKind::Unavailable, "the store's database cannot be used"),
    };
    Error::new(kind, what).because(cause)
}

/// Returns the error for opening: a file that is not a database is then a mistake in the configuration.
pub(crate) fn on_open(cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::new(
            ErrorKind::Config,
            "the file of the store's database is not an SQLite database: choose another path",
        )
        .because(cause),
        _ => from(cause),
    }
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
