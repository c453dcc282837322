//! The files of a deployment, and the global options of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Fault, Faults};
use crate::ini::{Ini, Opt, parse};
use crate::interpolate::{escape, interpolate};
use crate::setting::{Globals, Location, Setting};

/// The files that were read, and the caller's overrides for all of them.
pub(crate) struct Files {
    files: BTreeMap<PathBuf, Arc<Ini>>,
    overrides: Vec<(String, String)>,
}

impl Files {
    pub(crate) fn new(overrides: &[(String, String)]) -> Files {
        Files { files: BTreeMap::new(), overrides: overrides.to_vec() }
    }

    /// Reads and parses a file, once.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Arc<Ini>, Fault> {
        let key = canonical(path);
        if let Some(ini) = self.files.get(&key) {
            return Ok(Arc::clone(ini));
        }
        let name = path.display().to_string();
        let fault = |line, message: String| Fault::new(&Arc::from(name.as_str()), line, message);
        let bytes = std::fs::read(path).map_err(|error| fault(0, format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            fault(line, "expected UTF-8; save the file in that encoding".to_owned())
        })?;
        let ini = Arc::new(parse(&text, &name)?);
        self.files.insert(key, Arc::clone(&ini));
        Ok(ini)
    }

    /// Whether a file sets an option of this name, or refers to one by `%(name)s` or `get`.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let reference = format!("%({name})s");
        let names = |option: &Opt| {
            let is_copy = || option.name.starts_with("get ") && option.value == name;
            option.name == name || option.value.contains(&reference) || is_copy()
        };
        self.files.values().flat_map(|ini| &ini.sections).flat_map(|section| &section.options).any(names)
    }

    /// The values that `%(name)s` in a file's sections may refer to beside their own options, not yet interpolated. The
    /// caller's overrides win over `[DEFAULT]`, and `[DEFAULT]` over the options of the file and section that use this
    /// file. In Paste, `[DEFAULT]` wins over the overrides.
    pub(crate) fn variables(&self, path: &Arc<Path>, ini: &Ini, outer: &Globals) -> Variables {
        let mut names = Variables(outer.clone());
        names.0.values_mut().for_each(|setting| setting.value = escape(&setting.value));
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let here = absolute.parent().unwrap_or(Path::new("/"));
        let file = Location {
            section: "DEFAULT".into(),
            ..Location { file: Arc::clone(&ini.file), ..Location::of_file(path) }
        };
        names.put("here", escape(&here.display().to_string()), &file);
        names.put("__file__", escape(&absolute.display().to_string()), &file);
        for Opt { name, value, line } in ini.section("DEFAULT").map_or(&[][..], |section| &section.options) {
            names.put(name, value.clone(), &file.at(*line));
        }
        for (name, value) in &self.overrides {
            names.put(name, escape(value), &Location::command_line(path));
        }
        names
    }
}

/// The values that `%(name)s` may refer to, not yet interpolated.
pub(crate) struct Variables(pub(crate) Globals);

impl Variables {
    fn put(&mut self, name: &str, value: String, location: &Location) {
        self.0.insert(name.to_owned(), Setting { name: name.to_owned(), value, location: location.clone() });
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|setting| setting.value.clone())
    }

    /// The global options, interpolated. Those of `outer` win over the file's own.
    pub(crate) fn globals(&self, outer: &Globals) -> Result<Globals, Faults> {
        let mut faults = Faults::default();
        let mut globals = outer.clone();
        for (name, setting) in &self.0 {
            let value =
                check_comment(&setting.value).and_then(|()| interpolate(&setting.value, &|name| self.get(name)));
            let value = value.map_err(|message| setting.fault(message));
            if let Some(value) = faults.keep(value) {
                globals.entry(name.clone()).or_insert(Setting { value, ..setting.clone() });
            }
        }
        faults.if_none(|| globals)
    }
}

/// # Errors
/// What to write instead, if a comment follows the value: Python 2 cut it off, Python 3 does not.
pub(crate) fn check_comment(value: &str) -> Result<(), String> {
    let is_comment = |(at, _): (usize, &str)| value[..at].ends_with([' ', '\t']);
    let message = "a `;` after white space began a comment in Python 2, and would be part of the value here; put the comment \
                   on a line of its own";
    if value.match_indices(';').any(is_comment) { Err(message.to_owned()) } else { Ok(()) }
}

/// The canonical path, which is equal for two paths to one file.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
