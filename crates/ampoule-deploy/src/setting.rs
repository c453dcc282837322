//! An option with its value and location.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Fault;

const COMMAND_LINE: &str = "command line";
const ENVIRONMENT: &str = "environment";

/// The global options by name.
pub(crate) type Globals = BTreeMap<String, Setting>;

/// An option with its value and location.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) location: Location,
}

/// The line of an option or a section.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The path of the file in which references are looked up.
    pub(crate) path: Arc<Path>,
    /// The file's name as the caller gave it.
    pub(crate) file: Arc<str>,
    /// The section's name; empty for the command line, the environment and the file as a whole.
    pub(crate) section: Arc<str>,
    /// The line, counted from 1; 0 outside a file or for the file as a whole.
    pub(crate) line: usize,
}

impl Setting {
    /// The fault of the option.
    pub(crate) fn fault(&self, message: impl AsRef<str>) -> Fault {
        self.location.fault(&self.name, message)
    }
}

impl Location {
    /// The file as a whole.
    pub(crate) fn of_file(path: &Path) -> Location {
        Location { path: path.into(), file: path.display().to_string().into(), section: "".into(), line: 0 }
    }

    /// The command line: the location of the caller's overrides.
    pub(crate) fn command_line(path: &Arc<Path>) -> Location {
        Location { path: Arc::clone(path), file: COMMAND_LINE.into(), section: "".into(), line: 0 }
    }

    /// The environment: the location of its variables.
    pub(crate) fn environment(path: &Arc<Path>) -> Location {
        Location { path: Arc::clone(path), file: ENVIRONMENT.into(), section: "".into(), line: 0 }
    }

    pub(crate) fn is_command_line(&self) -> bool {
        &*self.file == COMMAND_LINE
    }

    pub(crate) fn is_environment(&self) -> bool {
        &*self.file == ENVIRONMENT
    }

    /// The origin of an option in words.
    pub(crate) fn origin(&self, name: &str) -> String {
        match self.line {
            0 if self.is_environment() => name.to_owned(),
            0 => format!("the {}", self.file),
            line => format!("{}:{line}", self.file),
        }
    }

    /// Another line of the same section.
    pub(crate) fn at(&self, line: usize) -> Location {
        Location { line, ..self.clone() }
    }

    pub(crate) fn fault(&self, option: &str, message: impl AsRef<str>) -> Fault {
        let (section, message) = (&self.section, message.as_ref());
        let text = match (section.is_empty(), option.is_empty()) {
            (true, true) => message.to_owned(),
            (true, false) => format!("{option}: {message}"),
            (false, _) => format!("[{section}] {option}: {message}"),
        };
        Fault::new(&self.file, self.line, text)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}]", self.file, self.line, self.section)
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.location, self.name)
    }
}
