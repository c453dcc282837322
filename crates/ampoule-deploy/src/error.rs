//! What is wrong with a file, and where.

use std::fmt;
use std::sync::Arc;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named; `command line` for an option that was given there.
    pub file: Arc<str>,
    /// The line, from 1; 0 if it is the file as a whole.
    pub line: usize,
    /// What was expected. It never holds a value that may be a secret.
    pub message: String,
}

/// Everything that is wrong; [`load`](crate::load) says it in the order of the lines.
///
/// A factory that reads several options collects what is wrong with each, so that one run of a check says all of it:
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
    /// The value of a result; or nothing, and its faults are added to these.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Faults>>) -> Option<T> {
        result.map_err(|faults| self.0.extend(faults.into().0)).ok()
    }

    /// What `make` makes, if nothing is wrong.
    ///
    /// # Errors
    /// These faults, if there are any; `make` is not called then.
    pub fn if_none<T>(self, make: impl FnOnce() -> T) -> Result<T, Faults> {
        if self.0.is_empty() { Ok(make()) } else { Err(self) }
    }

    /// Each fault once, since a section that is used twice is wrong in one place: in the order of their lines, the files in
    /// the order in which they were come to.
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

/// The known name that a misspelt one is closest to, as a question; nothing if none is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest_first(name, known).first() {
        Some(nearest) if distance(name, nearest) <= 1 + name.len() / 4 => format!("; did you mean `{nearest}`?"),
        _ => String::new(),
    }
}

/// The names, the one that is most like this one first.
pub(crate) fn nearest_first<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known: Vec<&str> = known.collect();
    known.sort_by_key(|other| distance(name, other));
    known
}

pub(crate) fn distance(name: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(name, other)
}
