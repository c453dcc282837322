//! What is wrong with a file, and where.

use std::fmt;
use std::sync::Arc;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1; 0 if it is the file as a whole.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Fault {
    pub(crate) fn new(file: &Arc<str>, line: usize, message: impl Into<String>) -> Fault {
        Fault { file: Arc::clone(file), line, message: message.into() }
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults(vec![fault])
    }
}

/// The known name that a misspelt one is closest to, as a question; nothing if none is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    match known.min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= 1 + name.len() / 4 => format!("; did you mean `{nearest}`?"),
        _ => String::new(),
    }
}
