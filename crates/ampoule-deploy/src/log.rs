//! The levels that a file's `[loggers]` set, for the program's own log.

use std::path::Path;

use crate::ini::{Ini, parse};
use crate::python::is_logging;

/// Returns the levels of `[logger_root]` and the other loggers as a filter for `tracing`, such as
/// `warn,my_project=debug`. Returns `None` if the file has no `[loggers]` or cannot be read; [`load`](crate::load)
/// reports the latter.
///
/// The level of a Python module applies to the Rust crate of the same name.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("site.ini");
/// std::fs::write(&path, "[loggers]\nkeys = root, shop\n[logger_root]\nlevel = WARN\n[logger_shop]\nlevel = DEBUG\n")?;
/// assert_eq!(ampoule_deploy::log_filter(&path).as_deref(), Some("warn,shop=debug"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn log_filter(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    levels(&parse(&text, "").ok()?)
}

/// The filter of [`log_filter`] from a parsed file.
pub(crate) fn levels(ini: &Ini) -> Option<String> {
    let keys = ini.get("loggers", "keys")?;
    let names = keys.split(',').map(str::trim).filter(|name| !name.is_empty());
    let directives: Vec<String> = names.filter_map(|name| directive(ini, name)).collect();
    (!directives.is_empty()).then(|| directives.join(","))
}

fn directive(ini: &Ini, name: &str) -> Option<String> {
    let section = format!("logger_{name}");
    let level = level(ini.get(&section, "level")?)?;
    if name == "root" {
        return Some(level.to_owned());
    }
    let target = ini.get(&section, "qualname").unwrap_or(name).replace('.', "::");
    let is_target = target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    is_target.then(|| format!("{target}={level}"))
}

/// `None` for `NOTSET`: the logger has the level of its parent.
fn level(name: &str) -> Option<&'static str> {
    match name.trim().to_ascii_uppercase().as_str() {
        "DEBUG" => Some("debug"),
        "INFO" => Some("info"),
        "WARN" | "WARNING" => Some("warn"),
        "ERROR" | "CRITICAL" | "FATAL" => Some("error"),
        _ => None,
    }
}

/// The warning about the sections of Python's logging, with the line of the first.
pub(crate) fn note(ini: &Ini) -> Option<(usize, String)> {
    let sections = ini.sections.iter().filter(|section| is_logging(&section.name));
    let first = sections.clone().next()?.line;
    let names: Vec<String> = sections.map(|section| format!("[{}]", section.name)).collect();
    let kept = match levels(ini) {
        Some(filter) => format!("the levels of the loggers apply (`{filter}`) unless RUST_LOG is set"),
        None => "RUST_LOG sets the levels".to_owned(),
    };
    Some((first, format!("{}: ignored: the log goes to standard error; {kept}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_a_filter() {
        let text = "[loggers]\nkeys = root, shop, sql, odd, none\n[logger_root]\nlevel = WARN\n[logger_shop]\nlevel = debug\n\
                    qualname = my_shop.lib\n[logger_sql]\nlevel = CRITICAL\n[logger_odd]\nlevel = INFO\nqualname = a-b\n\
                    [logger_none]\nlevel = NOTSET\n[logger_unlisted]\nlevel = DEBUG\n";
        let ini = parse(text, "x.ini").unwrap();
        assert_eq!(levels(&ini).as_deref(), Some("warn,my_shop::lib=debug,sql=error"));
        assert_eq!(levels(&parse("[app:main]\nuse = x\n", "x.ini").unwrap()), None);
    }
}
