//! The faults of a file, each with its line.

use std::fmt;
use std::sync::Arc;

/// One fault of a file, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as the caller gave it; `command line` or `environment` for an option from there.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What was expected. It never contains a value that may be a secret.
    pub message: String,
}

/// All faults of a file. [`load`](crate::load) returns them in the order of the lines.
///
/// A factory that reads several options collects the faults of each, so that one check reports all of them:
///
/// ```
/// use ampoule_deploy::{App, Conf, Faults, app};
/// use axum::Router;
///
/// fn shop(conf: &Conf) -> Result<App, Faults> {
///     let mut faults = Faults(conf.unknown(&["open", "items"]));
///     let open = faults.keep(conf.bool("open", true));
///     let items = faults.keep(conf.number("items", 20, 1..=100));
///     let text = format!("open: {open:?}, items on a page: {items:?}");
///     faults.if_none(|| app(Router::new().fallback(|| async { text })))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Fault {
    pub(crate) fn new(file: &Arc<str>, line: usize, message: impl Into<String>) -> Fault {
        Fault { file: Arc::clone(file), line, message: message.into() }
    }
}

impl Faults {
    /// Returns the value of a result; if it is an error, adds its faults to these and returns `None`.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Faults>>) -> Option<T> {
        result.map_err(|faults| self.0.extend(faults.into().0)).ok()
    }

    /// Returns the result of `make` if there are no faults.
    ///
    /// # Errors
    /// These faults, if there are any; then `make` is not called.
    pub fn if_none<T>(self, make: impl FnOnce() -> T) -> Result<T, Faults> {
        if self.0.is_empty() { Ok(make()) } else { Err(self) }
    }

    /// Removes duplicates, since a section that is used twice reports its faults twice, and sorts by file, in the order
    /// in which the files were read, and line.
    pub(crate) fn in_order(self) -> Faults {
        let mut files: Vec<Arc<str>> = Vec::new();
        let mut faults: Vec<Fault> = Vec::new();
        for fault in self.0 {
            if !faults.contains(&fault) {
                files.push(Arc::clone(&fault.file));
                faults.push(fault);
            }
        }
        let file = |fault: &Fault| files.iter().position(|file| *file == fault.file);
        faults.sort_by_key(|fault| (file(fault), fault.line));
        Faults(faults)
    }
}

impl fmt::Display for Fault {
    /// `FILE:LINE: message`, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

impl fmt::Display for Faults {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Fault {}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults(vec![fault])
    }
}

/// "; did you mean `NAME`?" with the known name that is closest to a misspelt one; empty if none is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest_first(name, known).first() {
        Some(nearest) if distance(name, nearest) <= 1 + name.len() / 4 => format!("; did you mean `{nearest}`?"),
        _ => String::new(),
    }
}

/// The known names, sorted by their distance from this one.
pub(crate) fn nearest_first<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known: Vec<&str> = known.collect();
    known.sort_by_key(|other| distance(name, other));
    known
}

pub(crate) fn distance(name: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(name, other)
}
