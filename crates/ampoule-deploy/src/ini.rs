//! Ini files as Python's ConfigParser reads them.
//!
//! Written here since errors need lines: of the parsers on the registry none keeps the line of an option together with
//! case-sensitive keys, continuation lines and an error for what stands twice.

use std::sync::Arc;

use crate::error::Fault;

/// A file, parsed and not yet interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ini {
    /// The file, as it was named.
    pub(crate) file: Arc<str>,
    pub(crate) sections: Vec<Section>,
}

/// The lines below a `[name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) options: Vec<Opt>,
}

/// One option, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Parses the text of a file; `file` is its name for errors.
///
/// Keys are case-sensitive and end at the first `=` or `:`. A line that starts with white space continues the value
/// before it. Lines that start with `#` or `;` are comments; a `;` inside a line belongs to the value.
///
/// ```
/// let ini = ampoule_deploy::parse("[DEFAULT]\ndebug = true\n", "site.ini")?;
/// assert_eq!(ini.get("DEFAULT", "debug"), Some("true"));
///
/// let fault = ampoule_deploy::parse("[app:main]\nuse hello\n", "site.ini").unwrap_err();
/// assert_eq!(fault.to_string(), "site.ini:2: expected `option = value`, found `use hello`");
/// # Ok::<(), ampoule_deploy::Fault>(())
/// ```
///
/// # Errors
/// The first line that cannot be read, or that says what another said.
pub fn parse(text: &str, file: &str) -> Result<Ini, Fault> {
    let mut parser = Parser { ini: Ini { file: file.into(), sections: Vec::new() }, in_option: false };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        parser.line(index + 1, line.trim_end())?;
    }
    Ok(parser.ini)
}

impl Ini {
    /// The value of an option as it stands, `%(…)s` and all.
    pub fn get(&self, section: &str, option: &str) -> Option<&str> {
        let section = self.sections.iter().find(|found| found.name == section)?;
        section.options.iter().find(|found| found.name == option).map(|found| found.value.as_str())
    }

    /// The names of all sections, in their order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| section.name.as_str())
    }
}

struct Parser {
    ini: Ini,
    in_option: bool,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Fault> {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.len() < line.len() && self.in_option {
            self.go_on(text);
            return Ok(());
        }
        match text.strip_prefix('[') {
            Some(rest) => self.section(number, text, rest),
            None => self.option(number, text),
        }
    }

    fn section(&mut self, number: usize, text: &str, rest: &str) -> Result<(), Fault> {
        let name = rest.strip_suffix(']').map(str::trim).filter(|name| !name.is_empty());
        let Some(name) = name else { return Err(self.fault(number, format!("expected `[section]`, found `{text}`"))) };
        if let Some(first) = self.ini.sections.iter().find(|section| section.name == name) {
            let message = format!("section [{name}] stands already in line {}", first.line);
            return Err(self.fault(number, message));
        }
        self.ini.sections.push(Section { name: name.to_owned(), line: number, options: Vec::new() });
        self.in_option = false;
        Ok(())
    }

    fn option(&mut self, number: usize, text: &str) -> Result<(), Fault> {
        let parts = text.split_once(['=', ':']).map(|(name, value)| (name.trim_end(), value.trim()));
        let Some((name, value)) = parts.filter(|(name, _)| !name.is_empty()) else {
            return Err(self.fault(number, format!("expected `option = value`, found `{text}`")));
        };
        let option = Opt { name: name.to_owned(), value: value.to_owned(), line: number };
        let Some(section) = self.ini.sections.last_mut() else {
            return Err(self.fault(number, format!("option `{name}` stands before any [section]")));
        };
        if let Some(first) = section.options.iter().find(|other| other.name == name) {
            let message = format!("option `{name}` stands already in line {}", first.line);
            return Err(self.fault(number, message));
        }
        section.options.push(option);
        self.in_option = true;
        Ok(())
    }

    fn go_on(&mut self, text: &str) {
        if let Some(option) = self.ini.sections.last_mut().and_then(|section| section.options.last_mut()) {
            if !option.value.is_empty() {
                option.value.push('\n');
            }
            option.value.push_str(text);
        }
    }

    fn fault(&self, line: usize, message: String) -> Fault {
        Fault::new(&self.ini.file, line, message)
    }
}
