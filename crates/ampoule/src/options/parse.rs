//! Parses values from text. Strictly: in Beaker `use_cookies = False` means true, since any text is true.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::invalid::InvalidOption;
use super::names::{Names, misspelt_prefix, nearest};

/// The options that were given, and the errors found in them.
#[derive(Clone)]
pub(crate) struct RawOptions {
    names: &'static Names,
    values: BTreeMap<&'static str, (String, String)>,
    pub(crate) faults: Vec<InvalidOption>,
}

impl RawOptions {
    /// Sorts pairs of name and value: known names, misspelt ones, and others, which are ignored.
    pub(crate) fn sort(
        names: &'static Names,
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> RawOptions {
        let mut raw = RawOptions { names, values: BTreeMap::new(), faults: Vec::new() };
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match names.option_of(&name).map(Cow::into_owned) {
                Some(option) => raw.add(&option, name, value),
                None => {
                    if let Some(message) = misspelt_prefix(&name) {
                        raw.faults.push(InvalidOption { name, message });
                    }
                }
            }
        }
        raw
    }

    /// Adds an option that was given under this full name.
    pub(crate) fn add(&mut self, option: &str, name: String, value: String) {
        let Some(known) = self.names.options.iter().find(|known| **known == option) else {
            let message = self.names.unknown(option);
            return self.faults.push(InvalidOption { name, message });
        };
        if value.trim().is_empty() {
            let message = "it is empty; remove the line to get the default".to_owned();
            return self.faults.push(InvalidOption { name, message });
        }
        if let Some((other, _)) = self.values.get(known) {
            let message = format!("the same option is given under the name {other}");
            return self.faults.push(InvalidOption { name, message });
        }
        self.values.insert(known, (name, value.trim().to_owned()));
    }

    /// The full name under which an option was given, for later messages.
    pub(crate) fn full_name(&self, option: &str) -> String {
        self.values.get(option).map_or_else(|| option.to_owned(), |(name, _)| name.clone())
    }

    pub(crate) fn fault(&mut self, option: &str, message: impl Into<String>) {
        let fault = InvalidOption { name: self.full_name(option), message: message.into() };
        self.faults.push(fault);
    }

    pub(crate) fn text(&self, option: &str) -> Option<String> {
        self.values.get(option).map(|(_, value)| value.clone())
    }

    /// Parses the option's value, if it is given; an invalid value is recorded as an error.
    pub(crate) fn parse<T>(&mut self, option: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(option)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(option, format!("expected {expected}, found `{text}`"));
        }
        value
    }

    /// Beaker's words for true and false.
    pub(crate) fn bool(&mut self, option: &str, target: &mut bool) {
        if let Some(value) = self.parse(option, "true or false", boolean) {
            *target = value;
        }
    }

    pub(crate) fn number(&mut self, option: &str, target: &mut usize) {
        if let Some(value) = self.parse(option, "a whole number", |text| text.parse().ok()) {
            *target = value;
        }
    }

    pub(crate) fn number_or_none(&mut self, option: &str, target: &mut Option<usize>) {
        let read =
            |text: &str| if text.eq_ignore_ascii_case("none") { Some(None) } else { text.parse().ok().map(Some) };
        if let Some(value) = self.parse(option, "a whole number, or none", read) {
            *target = value;
        }
    }

    pub(crate) fn seconds(&mut self, option: &str, target: &mut Duration) {
        if let Some(value) = self.parse(option, "a whole number of seconds", seconds) {
            *target = value;
        }
    }

    pub(crate) fn seconds_or_none(&mut self, option: &str, target: &mut Option<Duration>) {
        let read = |text: &str| if text.eq_ignore_ascii_case("none") { Some(None) } else { seconds(text).map(Some) };
        if let Some(value) = self.parse(option, "a whole number of seconds, or none", read) {
            *target = value;
        }
    }

    /// Parses one of a closed set of words, case-insensitively.
    pub(crate) fn word<T: Copy>(&mut self, option: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let text = self.text(option)?;
        let found = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let hint = nearest(&text, &names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            self.fault(option, format!("expected one of {}, found `{text}`{hint}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }
}

/// Methods for the cache's options alone.
#[cfg(feature = "cache")]
impl RawOptions {
    /// Adds the options of `under` that `self` does not have; the errors are those of `self` alone.
    pub(crate) fn inherit(mut self, under: &RawOptions) -> RawOptions {
        for (option, value) in &under.values {
            self.values.entry(option).or_insert_with(|| value.clone());
        }
        self
    }

    /// The values of these options, for those that were given.
    pub(crate) fn texts(&self, options: &[&'static str]) -> Vec<(&'static str, String)> {
        options.iter().filter_map(|option| Some((*option, self.text(option)?))).collect()
    }

    pub(crate) fn float(&mut self, option: &str, target: &mut f64) {
        if let Some(value) = self.parse(option, "a number", |text| text.parse().ok()) {
            *target = value;
        }
    }
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
        _ => None,
    }
}

pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok().map(Duration::from_secs)).flatten()
}
