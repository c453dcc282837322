//! The one error type of sessions and stores, sorted by remedy.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync>;

/// An error of a session or a store, with its cause.
///
/// The message says what was expected and never contains a secret, an id or a session's data. [`Error::kind`] says what
/// to do. `Display` prints the message alone, since [`source`](StdError::source) returns the cause; [`Error::report`]
/// and `Debug` print both.
///
/// ```
/// use ampoule_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "the session folder cannot be read").because(std::io::Error::other("disk gone"));
/// assert_eq!(error.kind(), ErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "the session folder cannot be read");
/// assert_eq!(error.report(), "the session folder cannot be read: disk gone");
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
    /// The store cannot be reached or refuses the operation: try again later (HTTP 503).
    Unavailable,
    /// The store did not answer within its time limit; a write may or may not have happened (HTTP 503).
    Timeout,
    /// A record is damaged, or in a format that this version does not know: the operator must act.
    Corrupt,
    /// A value, record or cookie exceeds its bound: store less (HTTP 413).
    TooLarge,
    /// The store has reached its bounds: the operator must raise them, or sweep it.
    Full,
    /// Other writers committed first until the retries were used up: try again.
    Conflict,
    /// The session was deleted, revoked or timed out while the request ran; nothing was written.
    Gone,
    /// The user logged in while the request ran, and the request belongs to the session before the login; nothing was
    /// written.
    Superseded,
    /// The principal has reached the limit of sessions; the new one was not saved, or was ended.
    Limit,
    /// The operation requires a login, or a more recent one: the user must log in.
    LoginRequired,
    /// A value cannot be encoded, or the stored value is not of the requested type: the program must change.
    Value,
    /// The call is invalid: an empty key, a forbidden character, a write through a read-only handle.
    Invalid,
    /// The configuration is wrong; the message names the setting.
    Config,
}

impl ErrorKind {
    /// Returns the kind as one word, for labels: `unavailable`, `too_large`.
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

    /// Returns the HTTP status for a client, and a line of text for its user that reveals no detail.
    ///
    /// ```
    /// use ampoule_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::Gone.for_client(), (409, "Your session has ended. Please start again.\n"));
    /// ```
    ///
    /// | kind | status |
    /// |---|---|
    /// | `Unavailable`, `Timeout`, `Full` | 503 |
    /// | `Gone`, `Superseded`, `Conflict`, `Limit` | 409 |
    /// | `TooLarge` | 413 |
    /// | `LoginRequired` | 403, since a 401 must name an authentication scheme (RFC 9110 section 11), and a login form has none |
    /// | all others | 500 |
    pub fn for_client(self) -> (u16, &'static str) {
        match self {
            ErrorKind::Unavailable | ErrorKind::Timeout => {
                (503, "Your session cannot be reached at the moment. Please try again.\n")
            }
            ErrorKind::Full => (503, "Your session cannot be saved, since there is no room for it.\n"),
            ErrorKind::TooLarge => (413, "Your session has no room for this. Please send less.\n"),
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
    /// Creates an error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Puts the subject in front of the message.
    ///
    /// ```
    /// use ampoule_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "connection refused").about("memcached at cache1:11211");
    /// assert_eq!(error.to_string(), "memcached at cache1:11211: connection refused");
    /// ```
    #[must_use]
    pub fn about(mut self, what: impl fmt::Display) -> Error {
        self.0.message = format!("{what}: {}", self.0.message).into();
        self
    }

    /// Returns the message and those of all causes, separated by colons, each once: for a log or an operator, never for
    /// a client. An error of the configuration has a line for each fault.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut next = self.source();
        while let Some(error) = next {
            let cause = error.to_string();
            // Many errors print their causes as well.
            if !line.ends_with(&cause) {
                line.push_str(": ");
                line.push_str(&cause);
            }
            next = error.source();
        }
        line
    }

    /// Returns the kind, which says what can be done.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same call may succeed later without a change to the program, its data or the store.
    /// [`ErrorKind::Full`] does not count: a full store stays full.
    ///
    /// ```
    /// use ampoule_core::{Error, ErrorKind};
    ///
    /// assert!(Error::new(ErrorKind::Timeout, "no answer within 2 s").is_transient());
    /// assert!(!Error::new(ErrorKind::Full, "no room").is_transient());
    /// ```
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.report())
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
    fn the_cause_is_kept_and_printed_once() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 5 s").because("pool is empty");
        assert_eq!(error.to_string(), "no answer within 5 s");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("pool is empty"));
        let outer = Error::new(ErrorKind::Timeout, "the save").because(error).about("session 7");
        assert_eq!(outer.to_string(), "session 7: the save");
        assert_eq!(outer.report(), "session 7: the save: no answer within 5 s: pool is empty");
        assert_eq!(format!("{outer:?}"), "Timeout: session 7: the save: no answer within 5 s: pool is empty");
    }

    /// Prints its cause, as the errors of many drivers do.
    #[derive(Debug)]
    struct Repeats(std::io::Error);

    impl fmt::Display for Repeats {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no query: {}", self.0)
        }
    }

    impl StdError for Repeats {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_that_prints_its_own_cause_is_not_repeated() {
        let cause = Repeats(std::io::Error::other("disk gone"));
        let error = Error::new(ErrorKind::Unavailable, "the store").because(cause);
        assert_eq!(error.report(), "the store: no query: disk gone");
    }

    #[test]
    fn a_client_is_asked_to_try_again_after_a_transient_error() {
        let kinds = [
            (ErrorKind::Unavailable, 503, true),
            (ErrorKind::Timeout, 503, true),
            (ErrorKind::Conflict, 409, true),
            (ErrorKind::Full, 503, false),
            (ErrorKind::TooLarge, 413, false),
            (ErrorKind::Gone, 409, false),
            (ErrorKind::Corrupt, 500, false),
            (ErrorKind::Config, 500, false),
        ];
        for (kind, expected, is_transient) in kinds {
            let (status, text) = kind.for_client();
            assert_eq!((status, Error::new(kind, "x").is_transient()), (expected, is_transient), "{kind:?}");
            assert!(!is_transient || text.contains("try again"), "{kind:?}: {text}");
        }
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
