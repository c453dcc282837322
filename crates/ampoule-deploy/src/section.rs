//! Resolves a reference to a section and its options: follows `use`, applies `set` and `get`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::files::{Files, Variables, canonical, check_comment};
use crate::find::{FILTERS, ObjectType, SectionKind, find};
use crate::ini::{Ini, Opt, Section};
use crate::interpolate::interpolate;
use crate::setting::{Globals, Location, Setting};

/// A section with the options of those that it uses, or a factory without a section.
pub(crate) struct Resolved {
    pub(crate) what: SectionKind,
    pub(crate) conf: Conf,
    /// The global options of the apps and filters below. Those that the filter of a filter-app sets are not among them.
    pub(crate) below: Globals,
    /// The faults of the options. If there are any, the app is not made, but those below it are still checked.
    pub(crate) faults: Faults,
    /// The section, for the detection of cycles; `None` for a factory without a section.
    pub(crate) step: Option<SectionId>,
}

/// The identity of a section: its file and its name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SectionId {
    file: PathBuf,
    section: Arc<str>,
}

/// A reference to an app, a filter or a server.
enum Reference<'a> {
    /// `egg:Dist#entry`: a factory.
    Egg,
    /// `config:file.ini#name`: a section of another file.
    File(&'a str, &'a str),
    /// The name of a section of this file.
    Section(&'a str),
}

/// Resolves references, and keeps track of the sections that were visited.
pub(crate) struct Resolver {
    pub(crate) files: Files,
    /// The sections that are being resolved, each used by the previous one.
    chain: Vec<SectionId>,
    /// All sections that were resolved.
    visited: Vec<SectionId>,
}

impl Resolver {
    pub(crate) fn new(files: Files) -> Resolver {
        Resolver { files, chain: Vec::new(), visited: Vec::new() }
    }

    pub(crate) fn has_visited(&self, path: &Path, section: &str) -> bool {
        let file = canonical(path);
        self.visited.iter().any(|step| *step.section == *section && step.file == file)
    }

    /// Resolves the reference in an option, under these global options.
    pub(crate) fn resolve(
        &mut self,
        kind: &ObjectType,
        reference: &Setting,
        outer: &Globals,
    ) -> Result<Resolved, Faults> {
        match parse_reference(&reference.value).map_err(|message| reference.fault(message))? {
            Reference::Egg => Ok(Resolved {
                what: kind.plain(),
                conf: Conf {
                    factory: Some(reference.clone()),
                    ..Conf::new(reference.location.clone(), outer.clone(), Vec::new())
                },
                below: outer.clone(),
                faults: Faults::default(),
                step: None,
            }),
            Reference::File(file, name) => {
                let folder = reference.location.path.parent().unwrap_or(Path::new(""));
                self.resolve_name(kind, &folder.join(file).into(), name, reference, outer)
            }
            Reference::Section(name) => self.resolve_name(kind, &reference.location.path, name, reference, outer),
        }
    }

    fn resolve_name(
        &mut self,
        kind: &ObjectType,
        path: &Arc<Path>,
        name: &str,
        reference: &Setting,
        outer: &Globals,
    ) -> Result<Resolved, Faults> {
        let ini = self.files.read(path)?;
        let (what, section) = find(&ini, kind, name).map_err(|message| reference.fault(message))?;
        let step = SectionId { file: canonical(path), section: Arc::clone(&section.name) };
        let message = "sections use each other";
        check_cycle(&self.chain, &step, reference, message)?;
        let names = self.files.variables(path, &ini, outer);
        self.visited.push(step.clone());
        self.chain.push(step);
        let resolved = SectionReader { path, ini: &ini, section }
            .options(&names, outer)
            .map(|options| self.follow_use(kind, what, options));
        self.chain.pop();
        resolved
    }

    /// Merges the section's options over those of the section that it uses.
    fn follow_use(&mut self, kind: &ObjectType, what: SectionKind, (mut conf, sets, mut faults): Options) -> Resolved {
        let step = self.chain.last().cloned();
        let filter_app = what == SectionKind::FilterApp;
        // A pipeline has no `use`; there it is an unknown option.
        let used = if what == SectionKind::Pipeline { None } else { conf.take("use") };
        let found = used.map(|used| self.resolve(if filter_app { &FILTERS } else { kind }, &used, &conf.global));
        let Some(found) = found.and_then(|found| faults.keep(found)) else {
            return Resolved { what, below: conf.global.clone(), conf, faults, step };
        };
        faults.0.extend(found.faults.0);
        let below = match filter_app {
            true => conf.global,
            false => found.below.into_iter().chain(sets.clone()).collect(),
        };
        conf.local = merge(found.conf.local, conf.local);
        conf.global = found.conf.global;
        conf.factory = found.conf.factory;
        conf.global.extend(sets);
        conf.artifacts.borrow_mut().append(found.conf.artifacts.take());
        let what = if filter_app { what } else { found.what };
        Resolved { what, conf, below, faults, step }
    }
}

/// The settings of `below`, each replaced by the one of the same name in `above`, followed by the rest of `above`.
fn merge(mut below: Vec<Setting>, above: Vec<Setting>) -> Vec<Setting> {
    for setting in above {
        match below.iter_mut().find(|other| other.name == setting.name) {
            Some(other) => *other = setting,
            None => below.push(setting),
        }
    }
    below
}

/// # Errors
/// A fault that shows the whole cycle, if the section is already among those before it.
pub(crate) fn check_cycle(
    before: &[SectionId],
    step: &SectionId,
    reference: &Setting,
    what: &str,
) -> Result<(), Fault> {
    let Some(start) = before.iter().position(|other| other == step) else { return Ok(()) };
    let circle = before[start..].iter().chain([step]);
    let one_file = before[start..].iter().all(|other| other.file == step.file);
    let show = |step: &SectionId| match one_file {
        true => format!("[{}]", step.section),
        false => format!("[{}] of {}", step.section, step.file.display()),
    };
    Err(reference.fault(format!("{what}: {}", circle.map(show).collect::<Vec<_>>().join(" -> "))))
}

fn parse_reference(text: &str) -> Result<Reference<'_>, String> {
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

/// A section's interpolated options, the global options that it sets, and the faults of its other options.
type Options = (Conf, Globals, Faults);

/// Reads the options of one section.
struct SectionReader<'a> {
    path: &'a Arc<Path>,
    ini: &'a Ini,
    section: &'a Section,
}

impl SectionReader<'_> {
    /// # Errors
    /// The faults of `[DEFAULT]`, without which the section cannot be interpolated.
    fn options(&self, names: &Variables, outer: &Globals) -> Result<Options, Faults> {
        let mut conf = Conf::new(self.location(self.section.line), names.globals(outer)?, Vec::new());
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
        // As in Paste, `get` applies after every `set` and overrides a plain option of the name, in whatever order the
        // lines are.
        for setting in gets.iter().filter_map(|setting| faults.keep(get(setting, &conf.global))) {
            conf.local.retain(|local| local.name != setting.name);
            conf.local.push(setting);
        }
        Ok((conf, sets, faults))
    }

    fn complete(&self, option: &Opt, names: &Variables) -> Result<Setting, Fault> {
        // In `debug = %(debug)s` the reference is to [DEFAULT]; Paste ignores such an option and so accepts it.
        let outer = |name: &str| names.get(name).filter(|_| name == option.name);
        let own = |name: &str| self.section.options.iter().find(|own| own.name == name).map(|own| own.value.clone());
        let lookup = |name: &str| outer(name).or_else(|| own(name)).or_else(|| names.get(name));
        let (name, location) = (option.name.clone(), self.location(option.line));
        match check_comment(&option.value).and_then(|()| interpolate(&option.value, &lookup)) {
            Ok(value) => Ok(Setting { name, value, location }),
            Err(message) => Err(location.fault(&name, message)),
        }
    }

    fn location(&self, line: usize) -> Location {
        let (file, section) = (Arc::clone(&self.ini.file), Arc::clone(&self.section.name));
        Location { path: Arc::clone(self.path), file, section, line }
    }
}

/// Warns that an option overrides a global one: Paste ignores it, so a file written for Paste may rely on that.
fn note_shadow(conf: &Conf, names: &Variables, setting: &Setting) {
    let name = &setting.name;
    let same = conf.global.get(name).is_some_and(|global| global.value == setting.value);
    let Some(Setting { location, .. }) = names.0.get(name).filter(|_| !same) else { return };
    let other = match (&*location.section, location.line) {
        ("DEFAULT", line) if line > 0 => format!("line {line} of [DEFAULT]"),
        ("", _) => "the command line".to_owned(),
        _ => return,
    };
    let message = format!("overrides {other} in this section; Paste would ignore it unless written `set {name} = …`");
    conf.warn(setting.fault(message));
}

/// The local option, with the value of the global one that it copies.
fn get(local: &Setting, global: &Globals) -> Result<Setting, Fault> {
    match global.get(&local.value) {
        Some(found) => Ok(Setting { value: found.value.clone(), ..local.clone() }),
        None => Err(local.fault(format!("there is no global option `{}`", local.value))),
    }
}
