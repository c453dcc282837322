//! Values from text. Strict: in Beaker `use_cookies = False` means true, since any text is true.

use std::collections::BTreeMap;
use std::time::Duration;

use super::BadOption;
use super::names::{self, nearest};

/// The options that were given, and what was wrong with them.
pub(super) struct Given {
    values: BTreeMap<&'static str, (String, String)>,
    pub(super) faults: Vec<BadOption>,
}

impl Given {
    /// Sorts pairs of name and value: ours, misspelt ones, and others that are none of our business.
    pub(super) fn sort(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Given {
        let mut given = Given { values: BTreeMap::new(), faults: Vec::new() };
        for (name, value) in pairs {
            given.add(name.into(), value.into());
        }
        given
    }

    fn add(&mut self, name: String, value: String) {
        let Some(option) = names::option_of(&name) else {
            if let Some(message) = names::misspelt_prefix(&name) {
                self.faults.push(BadOption { name, message });
            }
            return;
        };
        let Some(known) = names::OPTIONS.iter().find(|known| ***known == *option) else {
            let message = names::unknown(&option);
            return self.faults.push(BadOption { name, message });
        };
        if value.trim().is_empty() {
            let message = "it is empty; remove the line to get the default".to_owned();
            return self.faults.push(BadOption { name, message });
        }
        if let Some((other, _)) = self.values.get(known) {
            let message = format!("the same option stands under the name {other}");
            return self.faults.push(BadOption { name, message });
        }
        self.values.insert(known, (name, value.trim().to_owned()));
    }

    /// The full name under which an option was given, for what is found out about it later.
    pub(super) fn full_name(&self, option: &str) -> String {
        self.values.get(option).map_or_else(|| option.to_owned(), |(name, _)| name.clone())
    }

    pub(super) fn fault(&mut self, option: &str, message: impl Into<String>) {
        let fault = BadOption { name: self.full_name(option), message: message.into() };
        self.faults.push(fault);
    }

    pub(super) fn text(&self, option: &str) -> Option<String> {
        self.values.get(option).map(|(_, value)| value.clone())
    }

    /// The option's value, if it is given; a fault if it cannot be read.
    pub(super) fn parse<T>(&mut self, option: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(option)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(option, format!("expected {expected}, found `{text}`"));
        }
        value
    }

    /// Beaker's words for true and false.
    pub(super) fn bool(&mut self, option: &str, target: &mut bool) {
        if let Some(value) = self.parse(option, "true or false", boolean) {
            *target = value;
        }
    }

    pub(super) fn number(&mut self, option: &str, target: &mut usize) {
        if let Some(value) = self.parse(option, "a whole number", |text| text.parse().ok()) {
            *target = value;
        }
    }

    pub(super) fn number_or_none(&mut self, option: &str, target: &mut Option<usize>) {
        let read =
            |text: &str| if text.eq_ignore_ascii_case("none") { Some(None) } else { text.parse().ok().map(Some) };
        if let Some(value) = self.parse(option, "a whole number, or none", read) {
            *target = value;
        }
    }

    pub(super) fn seconds(&mut self, option: &str, target: &mut Duration) {
        if let Some(value) = self.parse(option, "a whole number of seconds", seconds) {
            *target = value;
        }
    }

    pub(super) fn seconds_or_none(&mut self, option: &str, target: &mut Option<Duration>) {
        let read = |text: &str| if text.eq_ignore_ascii_case("none") { Some(None) } else { seconds(text).map(Some) };
        if let Some(value) = self.parse(option, "a whole number of seconds, or none", read) {
            *target = value;
        }
    }

    /// One of a closed set of words, without regard to case.
    pub(super) fn word<T: Copy>(&mut self, option: &str, words: &[(&str, T)]) -> Option<T> {
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

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn seconds(text: &str) -> Option<Duration> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok().map(Duration::from_secs)).flatten()
}
