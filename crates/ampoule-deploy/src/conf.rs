//! What a factory is given: the options of its section, and those of all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::error::{Fault, did_you_mean};
use crate::family::is_ours;
use crate::made::Made;
use crate::python;
use crate::setting::{Globals, Place, Setting};

/// The options of one section, each with its place in the file. Its `Debug` shows their names and places, and no values,
/// which may be secret.
#[derive(Clone)]
pub struct Conf {
    /// Where the section starts.
    pub(crate) place: Place,
    pub(crate) global: Globals,
    pub(crate) local: Vec<Setting>,
    /// The option that names the factory.
    pub(crate) factory: Option<Setting>,
    /// Whether it is an app's, which may hold what is meant for filters around it.
    pub(crate) is_of_app: bool,
    pub(crate) made: RefCell<Made>,
}

impl Conf {
    pub(crate) fn new(place: Place, global: Globals, local: Vec<Setting>) -> Conf {
        Conf { place, global, local, factory: None, is_of_app: false, made: RefCell::default() }
    }

    /// The value of an option of the section itself.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.mark_read([option]);
        self.local.iter().find(|local| local.name == option).map(|local| local.value.as_str())
    }

    /// The value of a global option: from the command line, `set`, or `[DEFAULT]`.
    pub fn global(&self, option: &str) -> Option<&str> {
        self.mark_read([option]);
        self.global.get(option).map(|global| global.value.as_str())
    }

    /// The options of the section, in their order: those of the section that it uses first.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.mark_read(self.local.iter().map(|local| local.name.as_str()));
        self.local.iter().map(|local| (local.name.as_str(), local.value.as_str()))
    }

    /// The global options with those of the section over them, as Pylons gives them to its apps.
    pub fn merged(&self) -> BTreeMap<String, String> {
        self.mark_read(
            self.global.keys().map(String::as_str).chain(self.local.iter().map(|local| local.name.as_str())),
        );
        let settings = self.global.values().chain(&self.local);
        settings.map(|setting| (setting.name.clone(), setting.value.clone())).collect()
    }

    /// Adds a line for the operator, which is said when the file is served or checked: where data is kept, what is
    /// allowed only in debug.
    pub fn note(&self, line: impl Into<String>) {
        self.made.borrow_mut().notes.push(line.into());
    }

    /// Adds what the operator should change or know although the file is served: in a strict check it is an error. Made by
    /// [`fault`](Conf::fault), which names the place.
    pub fn warn(&self, fault: Fault) {
        self.made.borrow_mut().warnings.push(fault);
    }

    fn mark_read<'a>(&self, options: impl IntoIterator<Item = &'a str>) {
        self.made.borrow_mut().read.extend(options.into_iter().map(str::to_owned));
    }

    /// The fault of an option, with the place where it stands: in this section, in one that this uses, or in
    /// `[DEFAULT]`. It is that of [`missing`](Conf::missing) if the option stands nowhere.
    ///
    /// The message should say what was expected, and the value only where it cannot be a secret.
    pub fn fault(&self, option: &str, message: impl AsRef<str>) -> Fault {
        match self.setting(option) {
            Some(setting) => setting.fault(message),
            None => self.missing(option, message),
        }
    }

    /// The fault of an option that should stand in the section: its place is the section's first line.
    pub fn missing(&self, option: &str, message: impl AsRef<str>) -> Fault {
        self.place.fault(option, message)
    }

    /// The faults of all options of the section that are none of these, each with the nearest that is.
    ///
    /// In an app's section those of a session and a cache may stand too, which put filters around the app, and those that
    /// files of Pylons and its kin have, such as `full_stack`, which are passed over with a warning.
    pub fn unknown(&self, known: &[&str]) -> Vec<Fault> {
        let unknown = self.local.iter().filter(|local| !known.contains(&local.name.as_str()));
        let unknown = unknown.filter(|local| !self.is_for_others(&local.name));
        let fault = |local: &Setting| {
            let hint = did_you_mean(&local.name, known.iter().copied());
            local.fault(format!("there is no such option{hint}"))
        };
        unknown.map(fault).collect()
    }

    /// Whether the option of an app's section is not meant for its factory.
    pub(crate) fn is_for_others(&self, name: &str) -> bool {
        self.is_of_app && (is_ours(name) || name == "cache_dir" || python::is_option(name))
    }

    /// An option of the section that is true or false, in Beaker's words for it: `true`, `yes`, `on`, `y`, `t`, `1` and
    /// their opposites, in any case of letters; `default` if it does not stand there.
    ///
    /// # Errors
    /// The fault of the option, if it is neither.
    pub fn bool(&self, option: &str, default: bool) -> Result<bool, Fault> {
        self.truth(option, self.get(option), default)
    }

    /// Whether the global option `debug` is set; not by default.
    ///
    /// # Errors
    /// As [`bool`](Conf::bool).
    pub fn debug(&self) -> Result<bool, Fault> {
        self.truth("debug", self.global("debug"), false)
    }

    fn truth(&self, option: &str, text: Option<&str>, default: bool) -> Result<bool, Fault> {
        let Some(text) = text else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
            _ => Err(self.fault(option, format!("expected true or false, found `{text}`"))),
        }
    }

    /// An option of the section that is a whole number in this range; `default` if it does not stand there. It is
    /// written in digits alone, as in Beaker.
    ///
    /// # Errors
    /// The fault of the option, if it is anything else.
    pub fn number(&self, option: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let Some(text) = self.get(option) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        let (low, high) = (range.start(), range.end());
        number.ok_or_else(|| self.fault(option, format!("expected a number from {low} to {high}, found `{text}`")))
    }

    /// The option with its place: of the section if it stands there, else of all.
    pub(crate) fn setting(&self, option: &str) -> Option<&Setting> {
        self.local.iter().find(|local| local.name == option).or_else(|| self.global.get(option))
    }

    /// The option of the section, which is then no longer there.
    pub(crate) fn take(&mut self, option: &str) -> Option<Setting> {
        let index = self.local.iter().position(|local| local.name == option)?;
        Some(self.local.remove(index))
    }
}

impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conf")
            .field("place", &self.place)
            .field("global", &self.global.values())
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
