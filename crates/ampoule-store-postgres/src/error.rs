//! What PostgreSQL's errors mean to a session, and what can be done about them. The codes are those of its appendix A.
//!
//! A server's message is shown, unless it may name the user: no message of ours has a part of a login.

use std::error::Error as StdError;
use std::time::Duration;

use ampoule_core::internal::tls::explain;
use ampoule_core::{Error, ErrorKind, StoreKey};
use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::DbError;

/// What may help where a statement has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another connection may do it. This one is of no use.
    Reconnect {
        /// Whether the statement may have been done all the same.
        maybe_done: bool,
    },
    /// The same again: the server rolled the statement back in favour of another.
    Again,
    /// A statement without a name, which a pooler cannot mistake for another.
    Unnamed,
    /// To make the table.
    MakeTable,
    /// Nothing that a store can do.
    None,
}

pub(crate) fn remedy(cause: &tokio_postgres::Error) -> Remedy {
    let Some(code) = cause.code() else {
        let broken = cause.is_closed() || cause.source().is_some_and(<dyn StdError>::is::<std::io::Error>);
        return if broken { Remedy::Reconnect { maybe_done: true } } else { Remedy::None };
    };
    match code.code() {
        "42P01" | "3F000" => Remedy::MakeTable,
        // Serialization failure, deadlock.
        "40001" | "40P01" => Remedy::Again,
        // Read-only after a switchover; left in a failed transaction by another user of the pool; a plan of before the
        // table was changed.
        "25006" | "25P02" => Remedy::Reconnect { maybe_done: false },
        "0A000" if cause.as_db_error().is_some_and(|told| told.message().contains("cached plan")) => {
            Remedy::Reconnect { maybe_done: false }
        }
        // A name that means nothing, or is taken.
        "26000" | "42P05" => Remedy::Unnamed,
        // Ended by an administrator, a crash, or a time limit of idleness.
        "57P01" | "57P02" | "57P05" | "25P03" => Remedy::Reconnect { maybe_done: true },
        code if code.starts_with("08") => Remedy::Reconnect { maybe_done: true },
        _ => Remedy::None,
    }
}

/// Whether an error is about a statement, and its connection may serve others.
pub(crate) fn is_of_statement(cause: &tokio_postgres::Error) -> bool {
    cause.as_db_error().is_some() && remedy(cause) == Remedy::None
}

/// The error of a statement. An undefined table is [`ErrorKind::Config`].
pub(crate) fn from(cause: tokio_postgres::Error) -> Error {
    let Some(told) = cause.as_db_error() else { return without_code(cause) };
    let (kind, what) = match told.code().code() {
        "42P01" | "3F000" => (ErrorKind::Config, "the sessions' table is missing"),
        "42501" => (
            ErrorKind::Unavailable,
            "a right is missing: GRANT SELECT, INSERT, UPDATE, DELETE on the sessions' table to the application's role, \
             and CREATE on its schema or make the table beforehand",
        ),
        "53100" => (ErrorKind::Full, "PostgreSQL has no room on its disk"),
        "54000" => (ErrorKind::TooLarge, "a value is larger than PostgreSQL holds"),
        "XX001" | "XX002" => (ErrorKind::Corrupt, "the sessions' table is damaged"),
        "57014" | "55P03" => {
            (ErrorKind::Timeout, "PostgreSQL gave a statement up that took too long (command_timeout)")
        }
        "40001" | "40P01" => {
            (ErrorKind::Timeout, "other writers were in the way until the time was over (command_timeout)")
        }
        "25006" => (ErrorKind::Unavailable, "PostgreSQL takes no writes here: it is a standby, or set to read only"),
        "26000" | "42P05" => (ErrorKind::Unavailable, NAMES),
        _ => (ErrorKind::Unavailable, "PostgreSQL refused a statement"),
    };
    Error::new(kind, what).because(shown(told))
}

const NAMES: &str =
    "a prepared statement was mistaken for another, as behind a pooler: write prepared_statements=false";

fn without_code(cause: tokio_postgres::Error) -> Error {
    if let Some(advice) = explain(&cause) {
        return Error::new(ErrorKind::Unavailable, format!("PostgreSQL cannot be reached by TLS: {advice}"));
    }
    // The driver says the outer half of what there is to say, and its source the rest.
    let why = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
    let what = match why.as_str() {
        "server does not support TLS" => {
            "PostgreSQL offers no TLS, and the URL asks for it: set ssl = on at the server, or write sslmode=disable"
        }
        "password missing" => "PostgreSQL asks for a password, and the URL has none",
        _ => return Error::new(ErrorKind::Unavailable, "PostgreSQL cannot be reached").because(why),
    };
    Error::new(ErrorKind::Unavailable, what)
}

/// The error of making a connection.
fn of_connecting(cause: tokio_postgres::Error) -> Error {
    let Some(told) = cause.as_db_error() else { return from(cause) };
    let message = told.message();
    let what = match told.code().code() {
        "28P01" => "PostgreSQL does not take the login: the user or the password of the URL is wrong",
        "28000" if message.contains("no encryption") || message.contains("SSL off") => {
            "PostgreSQL takes this login by TLS only (pg_hba.conf): write sslmode=require, or better verify-full"
        }
        "28000" if message.contains("certificate") => {
            "PostgreSQL asks for a client's certificate: give its file and its key's (sslcert, sslkey)"
        }
        "28000" => "PostgreSQL does not take the login: its pg_hba.conf lets this user in from here in no way",
        "3D000" => "PostgreSQL has no such database: create the one that the URL names",
        "42501" => "the user of the URL may not CONNECT to its database: GRANT CONNECT ON DATABASE",
        "53300" => "PostgreSQL has no connection left: lower max_connections here, or raise it at the server",
        _ if message.contains("startup parameter") => {
            "the pooler takes no `options` of the URL: leave them out, or list them in its ignore_startup_parameters"
        }
        _ => return Error::new(ErrorKind::Unavailable, "PostgreSQL refused a connection").because(shown(told)),
    };
    Error::new(ErrorKind::Unavailable, what)
}

/// What the server said, unless it may have said who the user is.
fn shown(told: &DbError) -> String {
    let message = told.message();
    let is_private = ["user", "role"].iter().any(|word| message.contains(word));
    if is_private { format!("SQLSTATE {}", told.code().code()) } else { message.to_owned() }
}

pub(crate) fn of_pool(cause: PoolError) -> Error {
    match cause {
        PoolError::Backend(cause) => of_connecting(cause),
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::new(ErrorKind::Timeout, "no connection of the pool was free in time (pool_timeout)")
        }
        PoolError::Timeout(_) => {
            Error::new(ErrorKind::Timeout, "PostgreSQL could not be connected in time (connect_timeout)")
        }
        cause => Error::new(ErrorKind::Unavailable, "the pool of connections gives none").because(cause.to_string()),
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

pub(crate) fn no_table(table: &str) -> Error {
    let message = format!("there is no table {table}: call migrate(), or set `migrate = true`");
    Error::new(ErrorKind::Config, message)
}

pub(crate) fn no_answer(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("PostgreSQL gave no answer within {limit:?} (command_timeout)"))
}

pub(crate) fn no_time() -> Error {
    Error::new(ErrorKind::Unavailable, "PostgreSQL did not return its time")
}
