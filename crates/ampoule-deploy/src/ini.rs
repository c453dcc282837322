//! Ini files as Python's ConfigParser reads them.
//!
//! It is our own since errors need lines: no published parser that we know combines an option's line, case-sensitive
//! keys, continuation lines and an error for duplicates.

use std::fmt;
use std::sync::Arc;

use crate::error::Fault;

/// A parsed ini file, not yet interpreted. `Debug` shows names and lines, not values, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ini {
    /// The file's name as the caller gave it.
    pub(crate) file: Arc<str>,
    pub(crate) sections: Vec<Section>,
}

/// A section: the lines after a `[name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: Arc<str>,
    pub(crate) line: usize,
    pub(crate) options: Vec<Opt>,
}

/// One option, not interpolated.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Parses the text of a file; `file` is its name for errors.
///
/// Keys are case-sensitive and end at the first `=` or `:`. A line that is indented deeper than its option continues
/// the option's value; blank lines between such lines belong to the value. Lines that start with `#` or `;` are
/// comments; a `;` inside a line belongs to the value. White space around a value is not part of it. A duplicate
/// section or option is an error, as in Python; so is a second `[DEFAULT]`, which Python merges with the first.
///
/// ```
/// let ini = ampoule_deploy::parse("[DEFAULT]\ndebug = true\n", "site.ini")?;
/// assert_eq!(ini.get("DEFAULT", "debug"), Some("true"));
///
/// let fault = ampoule_deploy::parse("[app:main]\na = 1\na = 2\n", "site.ini").unwrap_err();
/// assert_eq!(fault.to_string(), "site.ini:3: option `a` is already set in line 2");
/// # Ok::<(), ampoule_deploy::Fault>(())
/// ```
///
/// # Errors
/// The fault of the first line that is neither a section, an option nor a continuation, or that is a duplicate.
pub fn parse(text: &str, file: &str) -> Result<Ini, Fault> {
    let mut parser = Parser { ini: Ini { file: file.into(), sections: Vec::new() }, indent: None, blank: 0 };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        parser.line(index + 1, line)?;
    }
    Ok(parser.ini)
}

impl Ini {
    /// Returns the value of an option as written, with `%(…)s` not replaced.
    pub fn get(&self, section: &str, option: &str) -> Option<&str> {
        let section = self.section(section)?;
        section.options.iter().find(|found| found.name == option).map(|found| found.value.as_str())
    }

    /// Returns the names of all sections, in their order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| &*section.name)
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| &*section.name == name)
    }
}

impl fmt::Debug for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {})", self.name, self.line)
    }
}

struct Parser {
    ini: Ini,
    /// The indentation of the option that a deeper line would continue.
    indent: Option<usize>,
    /// The blank lines since the last line of that option.
    blank: usize,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Fault> {
        let text = line.trim();
        if text.is_empty() {
            self.blank += 1;
            return Ok(());
        }
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indent = line.chars().take_while(|letter| letter.is_whitespace()).count();
        if self.indent.is_some_and(|option| indent > option) {
            self.continue_value(text);
        } else if let Some(rest) = text.strip_prefix('[') {
            self.section(number, rest)?;
        } else {
            self.option(number, text)?;
            self.indent = Some(indent);
        }
        self.blank = 0;
        Ok(())
    }

    fn section(&mut self, number: usize, rest: &str) -> Result<(), Fault> {
        let comment = |after: &str| after.is_empty() || after.starts_with(['#', ';']);
        let name = rest.split_once(']').filter(|(_, after)| comment(after.trim_start())).map(|(name, _)| name.trim());
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(self.fault(number, "expected `[section]`, since the line starts with `[`"));
        };
        if let Some(first) = self.ini.section(name) {
            let message = format!("section [{name}] already exists in line {}", first.line);
            return Err(self.fault(number, message));
        }
        self.ini.sections.push(Section { name: name.into(), line: number, options: Vec::new() });
        self.indent = None;
        Ok(())
    }

    fn option(&mut self, number: usize, text: &str) -> Result<(), Fault> {
        let parts = text.split_once(['=', ':']).map(|(name, value)| (name.trim_end(), value.trim()));
        // The message does not quote the line, which may be the second half of a wrapped secret.
        let Some((name, value)) = parts.filter(|(name, _)| !name.is_empty()) else {
            let message = "expected `option = value`, or white space before a line that continues the value above";
            return Err(self.fault(number, message));
        };
        let option = Opt { name: name.to_owned(), value: value.to_owned(), line: number };
        let Some(section) = self.ini.sections.last_mut() else {
            return Err(self.fault(number, format!("option `{name}` comes before the first [section]")));
        };
        if let Some(first) = section.options.iter().find(|other| other.name == name) {
            let message = format!("option `{name}` is already set in line {}", first.line);
            return Err(self.fault(number, message));
        }
        section.options.push(option);
        Ok(())
    }

    fn continue_value(&mut self, text: &str) {
        if let Some(option) = self.ini.sections.last_mut().and_then(|section| section.options.last_mut()) {
            if !option.value.is_empty() {
                option.value.push_str(&"\n".repeat(self.blank + 1));
            }
            option.value.push_str(text);
        }
    }

    fn fault(&self, line: usize, message: impl Into<String>) -> Fault {
        Fault::new(&self.ini.file, line, message)
    }
}
