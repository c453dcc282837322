//! From a reference to the options that hold there: `use`, `set` and `get`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::files::{Files, Names, check_comment, identity};
use crate::find::{FILTERS, Kind, What, find};
use crate::ini::{Ini, Opt, Section};
use crate::interpolate::interpolate;
use crate::setting::{Globals, Place, Setting};

/// A section with all that it uses, or a factory alone.
pub(crate) struct Resolved {
    pub(crate) what: What,
    pub(crate) conf: Conf,
    /// The global options of the apps and filters below: without those that a filter-app's filter sets for itself.
    pub(crate) below: Globals,
    /// What is wrong with the options: nothing is made of them then, but what is below is still looked at.
    pub(crate) faults: Faults,
    /// The section, by which a circle is known; none for a factory alone.
    pub(crate) step: Option<Step>,
}

/// A section of a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Step {
    file: PathBuf,
    section: Arc<str>,
}

/// What may stand where something is named.
enum Reference<'a> {
    /// `egg:Dist#entry`: a factory.
    Egg,
    /// `config:file.ini#name`: a section of another file.
    File(&'a str, &'a str),
    /// The name of a section of this file.
    Section(&'a str),
}

/// Finds sections, and knows those that are being looked at.
pub(crate) struct Resolver {
    pub(crate) files: Files,
    /// The sections that use each other.
    chain: Vec<Step>,
    /// The sections that were looked at.
    visited: Vec<Step>,
}

impl Resolver {
    pub(crate) fn new(files: Files) -> Resolver {
        Resolver { files, chain: Vec::new(), visited: Vec::new() }
    }

    pub(crate) fn has_visited(&self, path: &Path, section: &str) -> bool {
        let file = identity(path);
        self.visited.iter().any(|step| *step.section == *section && step.file == file)
    }

    /// What the option refers to, under these global options.
    pub(crate) fn resolve(&mut self, kind: &Kind, asked: &Setting, outer: &Globals) -> Result<Resolved, Faults> {
        match reference(&asked.value).map_err(|message| asked.fault(message))? {
            Reference::Egg => Ok(Resolved {
                what: kind.plain(),
                conf: Conf {
                    factory: Some(asked.clone()),
                    ..Conf::new(asked.place.clone(), outer.clone(), Vec::new())
                },
                below: outer.clone(),
                faults: Faults::default(),
                step: None,
            }),
            Reference::File(file, name) => {
                let folder = asked.place.path.parent().unwrap_or(Path::new(""));
                self.resolve_name(kind, &folder.join(file).into(), name, asked, outer)
            }
            Reference::Section(name) => self.resolve_name(kind, &asked.place.path, name, asked, outer),
        }
    }

    fn resolve_name(
        &mut self,
        kind: &Kind,
        path: &Arc<Path>,
        name: &str,
        asked: &Setting,
        outer: &Globals,
    ) -> Result<Resolved, Faults> {
        let ini = self.files.read(path)?;
        let (what, section) = find(&ini, kind, name).map_err(|message| asked.fault(message))?;
        let step = Step { file: identity(path), section: Arc::clone(&section.name) };
        let message = "sections that use each other";
        check_circle(&self.chain, &step, asked, message)?;
        let names = self.files.names(path, &ini, outer);
        self.visited.push(step.clone());
        self.chain.push(step);
        let resolved = Lines { path, ini: &ini, section }
            .options(&names, outer)
            .map(|options| self.follow_use(kind, what, options));
        self.chain.pop();
        resolved
    }

    /// The section's own options over those of what it uses.
    fn follow_use(&mut self, kind: &Kind, what: What, (mut conf, sets, mut faults): Options) -> Resolved {
        let step = self.chain.last().cloned();
        let filter_app = what == What::FilterApp;
        // A pipeline has no `use`; there it is an option too many.
        let used = if what == What::Pipeline { None } else { conf.take("use") };
        let found = used.map(|used| self.resolve(if filter_app { &FILTERS } else { kind }, &used, &conf.global));
        let Some(found) = found.and_then(|found| faults.keep(found)) else {
            return Resolved { what, below: conf.global.clone(), conf, faults, step };
        };
        faults.0.extend(found.faults.0);
        let below = match filter_app {
            true => conf.global,
            false => found.below.into_iter().chain(sets.clone()).collect(),
        };
        conf.local = over(found.conf.local, conf.local);
        conf.global = found.conf.global;
        conf.factory = found.conf.factory;
        conf.global.extend(sets);
        conf.made.borrow_mut().append(found.conf.made.take());
        let what = if filter_app { what } else { found.what };
        Resolved { what, conf, below, faults, step }
    }
}

/// The settings below, each replaced in its place by that of its name above; then the rest of those above.
fn over(mut below: Vec<Setting>, above: Vec<Setting>) -> Vec<Setting> {
    for setting in above {
        match below.iter_mut().find(|other| other.name == setting.name) {
            Some(other) => *other = setting,
            None => below.push(setting),
        }
    }
    below
}

/// # Errors
/// A fault that names the whole circle, if the step is among those before it.
pub(crate) fn check_circle(before: &[Step], step: &Step, asked: &Setting, what: &str) -> Result<(), Fault> {
    let Some(start) = before.iter().position(|other| other == step) else { return Ok(()) };
    let circle = before[start..].iter().chain([step]);
    let one_file = before[start..].iter().all(|other| other.file == step.file);
    let show = |step: &Step| match one_file {
        true => format!("[{}]", step.section),
        false => format!("[{}] of {}", step.section, step.file.display()),
    };
    Err(asked.fault(format!("{what}: {}", circle.map(show).collect::<Vec<_>>().join(" -> "))))
}

fn reference(text: &str) -> Result<Reference<'_>, String> {
    let scheme = text.split_once(':').filter(|(scheme, _)| {
        let mut letters = scheme.chars().peekable();
        letters.peek().is_some() && letters.all(|letter| letter.is_ascii_alphabetic())
    });
    match scheme {
        None => Ok(Reference::Section(text)),
        Some(("egg", _)) => Ok(Reference::Egg),
        Some(("config", place)) => {
            let (file, name) = place.split_once('#').unwrap_or((place, "main"));
            Ok(Reference::File(file, name))
        }
        Some(("call", _)) => Err(format!("expected `egg:Dist#entry`, found the Python function `{text}`")),
        Some(_) => {
            Err(format!("expected a section's name, `egg:Dist#entry` or `config:file.ini#name`, found `{text}`"))
        }
    }
}

/// A section's options, complete; those that it sets for all; and what is wrong with the rest.
type Options = (Conf, Globals, Faults);

/// A section, as it stands in its file.
struct Lines<'a> {
    path: &'a Arc<Path>,
    ini: &'a Ini,
    section: &'a Section,
}

impl Lines<'_> {
    /// # Errors
    /// What is wrong with `[DEFAULT]`: nothing can be said of the section then.
    fn options(&self, names: &Names, outer: &Globals) -> Result<Options, Faults> {
        let mut conf = Conf::new(self.place(self.section.line), names.globals(outer)?, Vec::new());
        let (mut sets, mut gets) = (Globals::new(), Vec::new());
        let mut faults = Faults::default();
        for option in &self.section.options {
            let Some(setting) = faults.keep(self.complete(option, names)) else { continue };
            if let Some(name) = setting.name.strip_prefix("set ").map(|name| name.trim().to_owned()) {
                sets.insert(name.clone(), Setting { name, ..setting });
            } else if let Some(name) = setting.name.strip_prefix("get ").map(|name| name.trim().to_owned()) {
                gets.push(Setting { name, ..setting });
            } else {
                note_shadow(&conf, names, &setting);
                conf.local.push(setting);
            }
        }
        conf.global.extend(sets.clone());
        // After every `set`, and over a plain option of the name, wherever they stand: as in Paste.
        for setting in gets.iter().filter_map(|setting| faults.keep(get(setting, &conf.global))) {
            conf.local.retain(|local| local.name != setting.name);
            conf.local.push(setting);
        }
        Ok((conf, sets, faults))
    }

    fn complete(&self, option: &Opt, names: &Names) -> Result<Setting, Fault> {
        // `debug = %(debug)s` means that of [DEFAULT]: Paste, which passes over such an option, has nothing against it.
        let outer = |name: &str| names.get(name).filter(|_| name == option.name);
        let own = |name: &str| self.section.options.iter().find(|own| own.name == name).map(|own| own.value.clone());
        let lookup = |name: &str| outer(name).or_else(|| own(name)).or_else(|| names.get(name));
        let (name, place) = (option.name.clone(), self.place(option.line));
        match check_comment(&option.value).and_then(|()| interpolate(&option.value, &lookup)) {
            Ok(value) => Ok(Setting { name, value, place }),
            Err(message) => Err(place.fault(&name, message)),
        }
    }

    fn place(&self, line: usize) -> Place {
        let (file, section) = (Arc::clone(&self.ini.file), Arc::clone(&self.section.name));
        Place { path: Arc::clone(self.path), file, section, line }
    }
}

/// Paste passes over an option that is also a global one; who comes from there is told that here it counts.
fn note_shadow(conf: &Conf, names: &Names, setting: &Setting) {
    let name = &setting.name;
    let same = conf.global(name) == Some(&setting.value);
    let Some(Setting { place, .. }) = names.0.get(name).filter(|_| !same) else { return };
    let other = match (&*place.section, place.line) {
        ("DEFAULT", line) if line > 0 => format!("that of [DEFAULT] in line {line}"),
        ("", _) => "that of the command line".to_owned(),
        _ => return,
    };
    let message =
        format!("holds for this section, in place of {other}; Paste would pass over it without `set {name} = …`");
    conf.warn(setting.fault(message));
}

/// The local option, with the value of the global one that it names.
fn get(local: &Setting, global: &Globals) -> Result<Setting, Fault> {
    match global.get(&local.value) {
        Some(found) => Ok(Setting { value: found.value.clone(), ..local.clone() }),
        None => Err(local.fault(format!("there is no global option `{}`", local.value))),
    }
}
