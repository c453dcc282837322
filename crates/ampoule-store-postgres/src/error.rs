//! Translates PostgreSQL's errors, and decides what may help. The codes are listed in appendix A of its manual.
//!
//! An error includes the server's message, unless the message may name the user: no error contains a part of a login.

use std::error::Error as StdError;
use std::time::Duration;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind, StoreKey};
use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::DbError;

/// What may help after a statement has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Send the statement on another connection. This one cannot be used any more.
    Reconnect {
        /// Whether the server may have executed the statement.
        maybe_done: bool,
    },
    /// Send the statement again: the server rolled it back in favour of another.
    Retry,
    /// Use an unnamed statement, which a pooler cannot confuse with another.
    UnnamedStatement,
    /// Create the table.
    CreateTable,
    /// The store can do nothing.
    None,
}

pub(crate) fn remedy(cause: &tokio_postgres::Error) -> Remedy {
    let Some(code) = cause.code() else {
        let broken = cause.is_closed() || cause.source().is_some_and(<dyn StdError>::is::<std::io::Error>);
        return if broken { Remedy::Reconnect { maybe_done: true } } else { Remedy::None };
    };
    match code.code() {
        "42P01" | "3F000" => Remedy::CreateTable,
        // Serialization failure, deadlock.
        "40001" | "40P01" => Remedy::Retry,
        // The connection is read-only since a switchover; or another user of the pool left it in a failed transaction;
        // or it has a plan from before the table was altered.
        "25006" | "25P02" => Remedy::Reconnect { maybe_done: false },
        "0A000" if cause.as_db_error().is_some_and(|error| error.message().contains("cached plan")) => {
            Remedy::Reconnect { maybe_done: false }
        }
        // The name of a prepared statement is unknown, or already in use.
        "26000" | "42P05" => Remedy::UnnamedStatement,
        // The connection was ended by an administrator, a crash, or a time limit for idle connections.
        "57P01" | "57P02" | "57P05" | "25P03" => Remedy::Reconnect { maybe_done: true },
        code if code.starts_with("08") => Remedy::Reconnect { maybe_done: true },
        _ => Remedy::None,
    }
}

/// Returns whether an error concerns only the statement, so that the connection can be used for others.
pub(crate) fn is_of_statement(cause: &tokio_postgres::Error) -> bool {
    cause.as_db_error().is_some() && remedy(cause) == Remedy::None
}

/// Returns the error of a statement. A missing table is [`ErrorKind::Config`].
pub(crate) fn from(cause: tokio_postgres::Error) -> Error {
    let Some(db_error) = cause.as_db_error() else { return without_code(cause) };
    let (kind, what) = match db_error.code().code() {
        "42P01" | "3F000" => (ErrorKind::Config, "the store's table is missing"),
        "42501" => (
            ErrorKind::Unavailable,
            "permission denied: GRANT SELECT, INSERT, UPDATE, DELETE on the store's table to the application's role, \
             and CREATE on its schema, or create the table beforehand",
        ),
        "53100" => (ErrorKind::Full, "PostgreSQL's disk is full"),
        "54000" => (ErrorKind::TooLarge, "a value is larger than PostgreSQL supports"),
        "XX001" | "XX002" => (ErrorKind::Corrupt, "the store's table is damaged"),
        "57014" | "55P03" => {
            (ErrorKind::Timeout, "PostgreSQL cancelled a statement that exceeded its time limit (command_timeout)")
        }
        "40001" | "40P01" => {
            (ErrorKind::Timeout, "conflicts with other writers lasted until the time limit (command_timeout)")
        }
        "25006" => (ErrorKind::Unavailable, "PostgreSQL accepts no writes: it is a standby, or set to read-only"),
        "26000" | "42P05" => (ErrorKind::Unavailable, WRONG_STATEMENT),
        _ => (ErrorKind::Unavailable, "PostgreSQL rejected a statement"),
    };
    Error::new(kind, what).because(without_login(db_error))
}

const WRONG_STATEMENT: &str =
    "a prepared statement was confused with another, as happens behind a pooler: write prepared_statements=false";

fn without_code(cause: tokio_postgres::Error) -> Error {
    if let Some(advice) = explain(&cause) {
        return Error::new(ErrorKind::Unavailable, format!("PostgreSQL cannot be reached over TLS: {advice}"));
    }
    // The driver's error is general; its source says what happened.
    let why = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
    let what = match why.as_str() {
        "server does not support TLS" => {
            "PostgreSQL offers no TLS, but the URL requires it: set ssl = on at the server, or write sslmode=disable"
        }
        "password missing" => "PostgreSQL requires a password, but the URL has none",
        _ => return Error::new(ErrorKind::Unavailable, "PostgreSQL cannot be reached").because(why),
    };
    Error::new(ErrorKind::Unavailable, what)
}

/// Returns the error of an attempt to connect.
fn from_connect(cause: tokio_postgres::Error) -> Error {
    let Some(db_error) = cause.as_db_error() else { return from(cause) };
    let message = db_error.message();
    let what = match db_error.code().code() {
        "28P01" => "PostgreSQL rejected the login: the user or the password in the URL is wrong",
        "28000" if message.contains("no encryption") || message.contains("SSL off") => {
            "PostgreSQL requires TLS for this login (pg_hba.conf): write sslmode=require, or better verify-full"
        }
        "28000" if message.contains("certificate") => {
            "PostgreSQL requires a client certificate: set sslcert to its file, and sslkey to the file of its key"
        }
        "28000" => {
            "PostgreSQL rejected the login: the user does not exist, or no rule of its pg_hba.conf admits it from this host"
        }
        "3D000" => "PostgreSQL has no such database: create the one that the URL names",
        "42501" => "the user in the URL may not connect to the database: GRANT CONNECT ON DATABASE",
        "53300" => "PostgreSQL has no connection left: lower max_connections here, or raise it at the server",
        _ if message.contains("startup parameter") => {
            "the pooler rejected the `options` in the URL: remove them, or list them in its ignore_startup_parameters"
        }
        _ => {
            return Error::new(ErrorKind::Unavailable, "PostgreSQL rejected a connection")
                .because(without_login(db_error));
        }
    };
    Error::new(ErrorKind::Unavailable, what)
}

/// Returns the server's message, or only its code if the message may name the user.
fn without_login(db_error: &DbError) -> String {
    let message = db_error.message();
    let is_private = ["user", "role"].iter().any(|word| message.contains(word));
    if is_private { format!("SQLSTATE {}", db_error.code().code()) } else { message.to_owned() }
}

pub(crate) fn from_pool(cause: PoolError) -> Error {
    match cause {
        PoolError::Backend(cause) => from_connect(cause),
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::new(ErrorKind::Timeout, "no connection of the pool became free in time (pool_timeout)")
        }
        PoolError::Timeout(_) => {
            Error::new(ErrorKind::Timeout, "connecting to PostgreSQL took too long (connect_timeout)")
        }
        cause => Error::new(ErrorKind::Unavailable, "the pool provides no connection").because(cause.to_string()),
    }
}

/// Returns the error of a write that was sent twice, if the second one cannot tell whether the first was executed.
pub(crate) fn unknown_outcome() -> Error {
    let message = "the connection to PostgreSQL broke during a write, which may have been executed";
    Error::new(ErrorKind::Timeout, message)
}

/// Parses the id of a row.
pub(crate) fn key(id: &[u8]) -> Result<StoreKey, Error> {
    let bytes = id.try_into().map_err(|_| Error::new(ErrorKind::Corrupt, "a row's id is not 32 bytes long"))?;
    Ok(StoreKey::new(bytes))
}

pub(crate) fn missing_table(table: &str) -> Error {
    let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
    Error::new(ErrorKind::Config, message)
}

pub(crate) fn no_answer(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("PostgreSQL did not answer within {limit:?} (command_timeout)"))
}

pub(crate) fn no_time() -> Error {
    Error::new(ErrorKind::Unavailable, "PostgreSQL did not return its time")
}
