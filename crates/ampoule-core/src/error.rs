//! The one error of sessions and stores, sorted by what its reader can do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong, with its cause.
///
/// The message says what was expected and never holds a secret, an id or a session's data. [`Error::kind`] says what
/// to do.
///
/// ```
/// use ampoule_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "the session folder cannot be read").because(std::io::Error::other("disk gone"));
/// assert_eq!(error.kind(), ErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "the session folder cannot be read: disk gone");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Source>,
}

/// The kinds of [`Error`], by remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store cannot be reached or refuses: try again later (HTTP 503).
    Unavailable,
    /// The store did not answer within its time limit; a write may or may not have happened (HTTP 503).
    Timeout,
    /// A record is damaged, or of a format this version does not know: the operator must look.
    Corrupt,
    /// A key, value, record or cookie exceeds its bound: store less.
    TooLarge,
    /// The store holds as much as it may: the operator must give it more or sweep it.
    Full,
    /// Other writers were faster each time until the bound on retries was reached: try again.
    Conflict,
    /// The session was deleted, revoked or timed out while the request ran; nothing was written.
    Gone,
    /// The user logged in while the request ran, so it belongs to the session before the login; nothing was written.
    Superseded,
    /// The principal has as many sessions as it may; the new one was not kept.
    Limit,
    /// What was asked for takes a login, or one that is more recent: the user must log in.
    LoginRequired,
    /// A value cannot be encoded, or what is stored is not of the type that was asked for: the program must change.
    Value,
    /// The caller asked for what cannot be: an empty key, a forbidden character, a write through a read-only handle.
    Invalid,
    /// The configuration is wrong; the message names the setting.
    Config,
}

impl ErrorKind {
    /// The kind in a word, as for a label: `unavailable`, `too_large`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Full => "full",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Gone => "gone",
            ErrorKind::Superseded => "superseded",
            ErrorKind::Limit => "limit",
            ErrorKind::LoginRequired => "login_required",
            ErrorKind::Value => "value",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Config => "config",
        }
    }

    /// The HTTP status that tells a client of it, and a line of text that tells a user and gives no detail away.
    ///
    /// | kind | status |
    /// |---|---|
    /// | `Unavailable`, `Timeout`, `Full` | 503 |
    /// | `Gone`, `Superseded`, `Conflict`, `Limit` | 409 |
    /// | `LoginRequired` | 403, since a 401 would have to name a scheme of RFC 9110 section 11, and a form is none |
    /// | all others | 500 |
    pub fn for_client(self) -> (u16, &'static str) {
        match self {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Full => {
                (503, "Your session cannot be reached at the moment. Please try again.\n")
            }
            ErrorKind::Gone => (409, "Your session has ended. Please start again.\n"),
            ErrorKind::Superseded => {
                (409, "You logged in while this request was under way, so it was not carried out. Please try again.\n")
            }
            ErrorKind::Conflict => (409, "Your session was changed at the same time. Please try again.\n"),
            ErrorKind::Limit => (409, "You are signed in in too many places. Please sign out in one of them first.\n"),
            ErrorKind::LoginRequired => (403, "Please log in first.\n"),
            _ => (500, "Your session could not be used.\n"),
        }
    }
}

impl Error {
    /// An error without a cause of its own.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without a change to the program or its data.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict | ErrorKind::Full)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_and_said() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 5 s").because("pool is empty");
        assert_eq!(error.to_string(), "no answer within 5 s: pool is empty");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("pool is empty"));
        assert!(error.is_transient());
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
