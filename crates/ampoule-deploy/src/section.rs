//! From a section's name to the options that hold in it: interpolation, `set`, `get` and `use`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conf::{Conf, Local};
use crate::error::{Fault, did_you_mean};
use crate::ini::{Ini, Opt, Section, parse};
use crate::interpolate::interpolate;

/// What a section describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    App,
    Composite,
    Pipeline,
    FilterApp,
    Filter,
    Server,
}

/// The kinds of thing that a name is looked up as, with the prefixes of their sections.
pub(crate) type Prefixes = &'static [(&'static str, What)];

pub(crate) const APPS: Prefixes = &[
    ("app", What::App),
    ("application", What::App),
    ("composite", What::Composite),
    ("composit", What::Composite),
    ("pipeline", What::Pipeline),
    ("filter-app", What::FilterApp),
];
pub(crate) const FILTERS: Prefixes = &[("filter", What::Filter)];
pub(crate) const SERVERS: Prefixes = &[("server", What::Server)];

/// A section with all that it uses.
pub(crate) struct Resolved {
    pub(crate) what: What,
    /// The factory: what stands behind `use = egg:`.
    pub(crate) factory: Option<String>,
    pub(crate) conf: Conf,
    /// The file of the section, in which the names of others are looked up.
    pub(crate) file: PathBuf,
}

/// The files that were read, and what the caller sets for all.
pub(crate) struct Files {
    files: BTreeMap<PathBuf, Arc<Ini>>,
    overrides: Vec<(String, String)>,
    /// The sections that use each other, as they are being resolved.
    chain: Vec<String>,
}

impl Files {
    pub(crate) fn new(overrides: &[(String, String)]) -> Files {
        Files { files: BTreeMap::new(), overrides: overrides.to_vec(), chain: Vec::new() }
    }

    /// Reads and parses a file, once.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Arc<Ini>, Fault> {
        if let Some(ini) = self.files.get(path) {
            return Ok(Arc::clone(ini));
        }
        let name: Arc<str> = path.display().to_string().into();
        let text =
            std::fs::read_to_string(path).map_err(|error| Fault::new(&name, 0, format!("cannot be read: {error}")))?;
        let ini = Arc::new(parse(&text, &name)?);
        self.files.insert(path.to_owned(), Arc::clone(&ini));
        Ok(ini)
    }

    /// The section of that name and kind, with the options of those it uses below its own.
    pub(crate) fn resolve(
        &mut self,
        path: &Path,
        kind: Prefixes,
        name: &str,
        asked: &Local,
        global: &BTreeMap<String, String>,
    ) -> Result<Resolved, Fault> {
        let ini = self.read(path)?;
        let (what, section) = find(&ini, kind, name).map_err(|message| Fault::new(&asked.file, asked.line, message))?;
        let step = format!("[{}] of {}", section.name, ini.file);
        if self.chain.contains(&step) {
            let message = format!("sections that use each other: {} -> {step}", self.chain.join(" -> "));
            return Err(Fault::new(&asked.file, asked.line, message));
        }
        self.chain.push(step);
        let resolved = self.resolve_section(path, &ini, (what, section), global);
        self.chain.pop();
        resolved
    }

    fn resolve_section(
        &mut self,
        path: &Path,
        ini: &Arc<Ini>,
        (what, section): (What, &Section),
        outer: &BTreeMap<String, String>,
    ) -> Result<Resolved, Fault> {
        let mut global = self.global(path, ini)?;
        global.extend(outer.clone());
        let local = split_options(ini, section, &mut global)?;
        let (uses, local): (Vec<Local>, Vec<Local>) = local.into_iter().partition(|local| local.name == "use");
        let conf = Conf {
            file: Arc::clone(&ini.file),
            section: section.name.clone(),
            line: section.line,
            global,
            local,
            notes: Vec::new().into(),
            sessions: Vec::new().into(),
        };
        match uses.into_iter().next() {
            Some(used) if !used.value.starts_with("egg:") => self.use_section(path, what, &used, conf),
            used => Ok(Resolved {
                what,
                conf: with_use(conf, &used),
                factory: used.map(|used| used.value),
                file: path.to_owned(),
            }),
        }
    }

    /// `use = name` or `use = config:file.ini#name`: what is used, with this section's options over its own.
    fn use_section(&mut self, path: &Path, what: What, used: &Local, conf: Conf) -> Result<Resolved, Fault> {
        let (file, name) = match used.value.strip_prefix("config:") {
            None => (path.to_owned(), used.value.as_str()),
            Some(place) => {
                let (file, name) = place.split_once('#').unwrap_or((place, "main"));
                (path.parent().unwrap_or(Path::new("")).join(file), name)
            }
        };
        let kind = match what {
            What::Filter | What::FilterApp => FILTERS,
            What::Server => SERVERS,
            What::App | What::Composite | What::Pipeline => APPS,
        };
        let mut resolved = self.resolve(&file, kind, name, used, &conf.global)?;
        let mut local = resolved.conf.local;
        local.retain(|below| !conf.local.iter().any(|own| own.name == below.name));
        local.extend(conf.local.iter().cloned());
        let global = resolved.conf.global;
        resolved.conf = Conf { local, global, ..conf };
        if what == What::FilterApp {
            resolved.what = What::FilterApp;
        }
        Ok(resolved)
    }

    /// `[DEFAULT]`, where the file is, and what the caller sets.
    fn global(&self, path: &Path, ini: &Ini) -> Result<BTreeMap<String, String>, Fault> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let here = absolute.parent().unwrap_or(Path::new("/")).display().to_string();
        // A path may hold a percent sign, which is none of ours.
        let escape = |text: String| text.replace('%', "%%");
        let mut raw = BTreeMap::from([
            ("here".to_owned(), escape(here)),
            ("__file__".to_owned(), escape(absolute.display().to_string())),
        ]);
        let defaults = ini.sections.iter().find(|section| section.name == "DEFAULT");
        let options = defaults.map_or(&[][..], |section| &section.options);
        raw.extend(options.iter().map(|option| (option.name.clone(), option.value.clone())));
        raw.extend(self.overrides.iter().map(|(name, value)| (name.clone(), escape(value.clone()))));
        let line_of = |name: &str| options.iter().find(|option| option.name == name).map_or(0, |option| option.line);
        let complete = |(name, value): (&String, &String)| match interpolate(value, &|name| raw.get(name).cloned()) {
            Ok(value) => Ok((name.clone(), value)),
            Err(message) => Err(Fault::new(&ini.file, line_of(name), format!("[DEFAULT] {name}: {message}"))),
        };
        raw.iter().map(complete).collect()
    }
}

/// The factory's `use` stands among the options of its place alone, so that a fault about it has its line.
fn with_use(mut conf: Conf, used: &Option<Local>) -> Conf {
    if let Some(used) = used {
        conf.line = used.line;
    }
    conf
}

/// Completes the values, carries out `set` and `get`, and leaves the options of the section itself.
fn split_options(ini: &Ini, section: &Section, global: &mut BTreeMap<String, String>) -> Result<Vec<Local>, Fault> {
    let raw = |name: &str| section.options.iter().find(|option| option.name == name).map(|option| option.value.clone());
    let known = global.clone();
    let lookup = |name: &str| raw(name).or_else(|| known.get(name).map(|value| value.replace('%', "%%")));
    let mut local = Vec::new();
    for option in &section.options {
        let fault = |message: String| {
            Fault::new(&ini.file, option.line, format!("[{}] {}: {message}", section.name, option.name))
        };
        let value = interpolate(&option.value, &lookup).map_err(fault)?;
        if let Some(name) = option.name.strip_prefix("set ") {
            global.insert(name.trim().to_owned(), value);
        } else if let Some(name) = option.name.strip_prefix("get ") {
            let found =
                global.get(&value).cloned().ok_or_else(|| fault(format!("there is no global option `{value}`")))?;
            local.push(local_of(ini, option, name.trim(), found));
        } else {
            local.push(local_of(ini, option, &option.name, value));
        }
    }
    Ok(local)
}

fn local_of(ini: &Ini, option: &Opt, name: &str, value: String) -> Local {
    Local { name: name.to_owned(), value, file: Arc::clone(&ini.file), line: option.line }
}

/// The one section of that name among those with these prefixes; `[main]` alone is an app.
fn find<'a>(ini: &'a Ini, kind: Prefixes, name: &str) -> Result<(What, &'a Section), String> {
    let named = |section: &Section| -> Option<What> {
        let (prefix, rest) = section.name.split_once(':').unwrap_or(("", &section.name));
        let bare = prefix.is_empty() && section.name == name && name != "DEFAULT";
        let known = kind.iter().find(|(known, _)| *known == prefix.trim() && rest.trim() == name);
        known.map(|(_, what)| *what).or_else(|| bare.then(|| kind[0].1))
    };
    let found: Vec<_> = ini.sections.iter().filter_map(|section| Some((named(section)?, section))).collect();
    match found[..] {
        [(what, section)] => Ok((what, section)),
        [] => Err(not_found(ini, kind, name)),
        [(_, first), (_, second), ..] => Err(format!(
            "ambiguous: `{name}` may be [{}] in line {} or [{}] in line {}",
            first.name, first.line, second.name, second.line
        )),
    }
}

fn not_found(ini: &Ini, kind: Prefixes, name: &str) -> String {
    let prefixes: Vec<String> = kind.iter().map(|(prefix, _)| format!("[{prefix}:{name}]")).collect();
    let names = ini.sections().filter_map(|section| section.split_once(':')).map(|(_, name)| name.trim());
    format!("there is no section {} in {}{}", prefixes.join(", "), ini.file, did_you_mean(name, names))
}
