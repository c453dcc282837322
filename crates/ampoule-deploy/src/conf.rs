//! The options that a factory receives: those of its section, and the global ones.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::artifacts::Artifacts;
use crate::error::{Fault, did_you_mean};
use crate::family::is_ours;
use crate::python;
use crate::setting::{Globals, Location, Setting};

/// The options of one section, each with its line in the file, as a factory receives them.
///
/// ```
/// use ampoule_deploy::{Registry, app};
/// use axum::Router;
///
/// let mut registry = Registry::new();
/// // [app:main]
/// // use = egg:hello
/// // name = Ada
/// registry.app("egg:hello", |conf| {
///     let name = conf.get("name").ok_or_else(|| conf.missing("name", "expected a name"))?;
///     let greeting = format!("Hello, {name}.");
///     Ok(app(Router::new().fallback(|| async { greeting })))
/// });
/// ```
///
/// `Debug` shows the names and lines of the options, not their values, which may be secret.
#[derive(Clone)]
pub struct Conf {
    /// The section's first line.
    pub(crate) location: Location,
    pub(crate) global: Globals,
    pub(crate) local: Vec<Setting>,
    /// The option that names the factory.
    pub(crate) factory: Option<Setting>,
    /// Whether the section is an app's, which may also have options for filters around it.
    pub(crate) is_of_app: bool,
    pub(crate) artifacts: RefCell<Artifacts>,
}

impl Conf {
    pub(crate) fn new(location: Location, global: Globals, local: Vec<Setting>) -> Conf {
        Conf { location, global, local, factory: None, is_of_app: false, artifacts: RefCell::default() }
    }

    /// Returns the value of an option of the section, or `None` if the section does not set it.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.mark_read([option]);
        self.local.iter().find(|local| local.name == option).map(|local| local.value.as_str())
    }

    /// Returns the value of a global option: one of the command line, of `set`, or of `[DEFAULT]`.
    pub fn global(&self, option: &str) -> Option<&str> {
        self.mark_read([option]);
        self.global.get(option).map(|global| global.value.as_str())
    }

    /// Returns the names and values of the section's options in order: first those of the section that it uses.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.mark_read(self.local.iter().map(|local| local.name.as_str()));
        self.local.iter().map(|local| (local.name.as_str(), local.value.as_str()))
    }

    /// Returns the global options overridden by the section's, as Pylons passes them to its apps.
    pub fn merged(&self) -> BTreeMap<String, String> {
        self.mark_read(
            self.global.keys().map(String::as_str).chain(self.local.iter().map(|local| local.name.as_str())),
        );
        let settings = self.global.values().chain(&self.local);
        settings.map(|setting| (setting.name.clone(), setting.value.clone())).collect()
    }

    /// Adds a line for the operator, which is printed when the file is served or checked: where data is stored, what is
    /// allowed only in debug.
    pub fn note(&self, line: impl Into<String>) {
        self.artifacts.borrow_mut().notes.push(line.into());
    }

    /// Adds a warning: something that the operator should know or change, although the file is served. In a strict
    /// check it is an error. Make it with [`fault`](Conf::fault), which adds the line.
    pub fn warn(&self, fault: Fault) {
        self.artifacts.borrow_mut().warnings.push(fault);
    }

    pub(crate) fn mark_read<'a>(&self, options: impl IntoIterator<Item = &'a str>) {
        self.artifacts.borrow_mut().read.extend(options.into_iter().map(str::to_owned));
    }

    /// Creates the fault of an option, with the line that sets it: in this section, in one that this section uses, or
    /// in `[DEFAULT]`. An option that is not set gets the fault of [`missing`](Conf::missing).
    ///
    /// The message should say what was expected. It may contain the value only if that cannot be a secret.
    pub fn fault(&self, option: &str, message: impl AsRef<str>) -> Fault {
        match self.setting(option) {
            Some(setting) => setting.fault(message),
            None => self.missing(option, message),
        }
    }

    /// Creates the fault of an option that the section should set, with the section's first line.
    pub fn missing(&self, option: &str, message: impl AsRef<str>) -> Fault {
        self.location.fault(option, message)
    }

    /// Returns a fault for each option of the section that is not among the known ones, with the known option that is
    /// spelt most like it.
    ///
    /// An app's section may also have options of a session and a cache, which put filters around the app, and options
    /// of Pylons and similar frameworks, such as `full_stack`, which are ignored with a warning. They are not faults.
    pub fn unknown(&self, known: &[&str]) -> Vec<Fault> {
        let unknown = self.local.iter().filter(|local| !known.contains(&local.name.as_str()));
        let unknown = unknown.filter(|local| !self.is_foreign(&local.name));
        let fault = |local: &Setting| {
            let hint = did_you_mean(&local.name, known.iter().copied());
            local.fault(format!("there is no such option{hint}"))
        };
        unknown.map(fault).collect()
    }

    /// Whether the option stands in an app's section but is not meant for the app's factory.
    pub(crate) fn is_foreign(&self, name: &str) -> bool {
        self.is_of_app && (is_ours(name) || name == "cache_dir" || python::is_option(name))
    }

    /// Returns a boolean option of the section, or `default` if the section does not set it. As in Beaker, `true`,
    /// `yes`, `on`, `y`, `t` and `1` are true, and `false`, `no`, `off`, `n`, `f` and `0` are false, in upper or lower
    /// case.
    ///
    /// # Errors
    /// A fault that names the option, if it has any other value.
    pub fn bool(&self, option: &str, default: bool) -> Result<bool, Fault> {
        self.parse_bool(option, self.get(option), default)
    }

    /// Returns the global option `debug`, or false if it is not set.
    ///
    /// # Errors
    /// The same as of [`bool`](Conf::bool).
    pub fn debug(&self) -> Result<bool, Fault> {
        self.parse_bool("debug", self.global("debug"), false)
    }

    fn parse_bool(&self, option: &str, text: Option<&str>, default: bool) -> Result<bool, Fault> {
        let Some(text) = text else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
            _ => Err(self.fault(option, format!("expected true or false, found `{text}`"))),
        }
    }

    /// Returns an option of the section that is a whole number, or `default` if the section does not set it. As in
    /// Beaker, it is written in digits only, without a sign.
    ///
    /// # Errors
    /// The fault of the option if its value is not a whole number in this range.
    pub fn number(&self, option: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let Some(text) = self.get(option) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        let (low, high) = (range.start(), range.end());
        number.ok_or_else(|| self.fault(option, format!("expected a number from {low} to {high}, found `{text}`")))
    }

    /// The option of the section, or else the global one.
    pub(crate) fn setting(&self, option: &str) -> Option<&Setting> {
        self.local.iter().find(|local| local.name == option).or_else(|| self.global.get(option))
    }

    /// Removes the option from the section and returns it.
    pub(crate) fn take(&mut self, option: &str) -> Option<Setting> {
        let index = self.local.iter().position(|local| local.name == option)?;
        Some(self.local.remove(index))
    }
}

impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conf")
            .field("location", &self.location)
            .field("global", &self.global.values())
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
