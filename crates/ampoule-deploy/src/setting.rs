//! An option whose value is complete, and the place where it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Fault;

const COMMAND_LINE: &str = "command line";
const ENVIRONMENT: &str = "environment";

/// The options that hold for all, by their names.
pub(crate) type Globals = BTreeMap<String, Setting>;

/// One option.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) place: Place,
}

/// A line of a section of a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file in which the names that the value may hold are looked up.
    pub(crate) path: Arc<Path>,
    /// The file, as it was named.
    pub(crate) file: Arc<str>,
    /// Empty outside all sections: on the command line, or for the file as a whole.
    pub(crate) section: Arc<str>,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
}

impl Setting {
    /// The fault of the option.
    pub(crate) fn fault(&self, message: impl AsRef<str>) -> Fault {
        self.place.fault(&self.name, message)
    }
}

impl Place {
    /// The file as a whole.
    pub(crate) fn of_file(path: &Path) -> Place {
        Place { path: path.into(), file: path.display().to_string().into(), section: "".into(), line: 0 }
    }

    /// Where the caller's own options stand.
    pub(crate) fn command_line(path: &Arc<Path>) -> Place {
        Place { path: Arc::clone(path), file: COMMAND_LINE.into(), section: "".into(), line: 0 }
    }

    /// Where variables of the environment stand.
    pub(crate) fn environment(path: &Arc<Path>) -> Place {
        Place { path: Arc::clone(path), file: ENVIRONMENT.into(), section: "".into(), line: 0 }
    }

    pub(crate) fn is_command_line(&self) -> bool {
        &*self.file == COMMAND_LINE
    }

    pub(crate) fn is_environment(&self) -> bool {
        &*self.file == ENVIRONMENT
    }

    /// Where an option comes from, in words.
    pub(crate) fn origin(&self, name: &str) -> String {
        match self.line {
            0 if self.is_environment() => name.to_owned(),
            0 => format!("the {}", self.file),
            line => format!("{}:{line}", self.file),
        }
    }

    /// Another line of the same section.
    pub(crate) fn at(&self, line: usize) -> Place {
        Place { line, ..self.clone() }
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

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}]", self.file, self.line, self.section)
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.place, self.name)
    }
}
