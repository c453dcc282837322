//! The errors of options.

use std::fmt;

use ampoule_core::{Error, ErrorKind};

/// An invalid option.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// Its name, as it was given: `session.timeout` in settings, `Options::idle_timeout` in code.
    pub name: String,
    /// What was expected.
    pub message: String,
}

/// All invalid options, not just the first.
///
/// `Debug` prints what `Display` does, a line for each option, since that is what a program shows whose `main` returns
/// the error.
///
/// ```
/// let error = ampoule::Settings::parse([("session.type", "memory")]).unwrap_err();
/// assert!(format!("{error:?}").starts_with("secret: it is missing; set it, or AMPOULE_SESSION_SECRET"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BadOptions(pub Vec<InvalidOption>);

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl fmt::Display for BadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Debug for BadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BadOptions {}

impl From<BadOptions> for Error {
    fn from(bad: BadOptions) -> Error {
        Error::new(ErrorKind::Config, bad.to_string())
    }
}
