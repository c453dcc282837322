//! What a factory is given: the options of its section, and those of all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use ampoule::SessionLayer;

use crate::error::{Fault, did_you_mean};

/// The options of one section, each with its place in the file.
#[derive(Clone, Debug)]
pub struct Conf {
    pub(crate) file: Arc<str>,
    pub(crate) section: String,
    pub(crate) line: usize,
    pub(crate) global: BTreeMap<String, String>,
    pub(crate) local: Vec<Local>,
    pub(crate) notes: RefCell<Vec<String>>,
    pub(crate) sessions: RefCell<Vec<SessionLayer>>,
}

/// One option of a section, its value complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

impl Conf {
    /// The value of an option of the section itself.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.local.iter().find(|local| local.name == option).map(|local| local.value.as_str())
    }

    /// The value of a global option: from `[DEFAULT]`, `set`, or the command line.
    pub fn global(&self, option: &str) -> Option<&str> {
        self.global.get(option).map(String::as_str)
    }

    /// The options of the section, in their order.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.local.iter().map(|local| (local.name.as_str(), local.value.as_str()))
    }

    /// The global options with those of the section over them, as Pylons gives them to its apps.
    pub fn merged(&self) -> BTreeMap<String, String> {
        let mut merged = self.global.clone();
        merged.extend(self.local.iter().map(|local| (local.name.clone(), local.value.clone())));
        merged
    }

    /// Adds a line for the operator, which is said when the file is served or checked: where data is kept, what is
    /// allowed only in debug.
    pub fn note(&self, line: impl Into<String>) {
        self.notes.borrow_mut().push(line.into());
    }

    /// The fault of an option, with its place; of the section, if the option does not stand in it.
    pub fn fault(&self, option: &str, message: impl AsRef<str>) -> Fault {
        let place = self.local.iter().find(|local| local.name == option);
        let (file, line) = place.map_or((&self.file, self.line), |local| (&local.file, local.line));
        Fault::new(file, line, format!("[{}] {option}: {}", self.section, message.as_ref()))
    }

    /// The faults of all options of the section that are none of these, each with the nearest that is.
    pub fn unknown(&self, known: &[&str]) -> Vec<Fault> {
        let unknown = self.local.iter().filter(|local| !known.contains(&local.name.as_str()));
        let fault = |local: &Local| {
            let hint = did_you_mean(&local.name, known.iter().copied());
            self.fault(&local.name, format!("there is no such option{hint}"))
        };
        unknown.map(fault).collect()
    }

    /// An option that is true or false, in Beaker's words for it; `default` if it does not stand in the section.
    ///
    /// # Errors
    /// The fault of the option, if it is neither.
    pub fn bool(&self, option: &str, default: bool) -> Result<bool, Fault> {
        let Some(text) = self.get(option) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
            _ => Err(self.fault(option, format!("expected true or false, found `{text}`"))),
        }
    }
}
