//! Finds sections and options that were not used, in the file, the environment and the command line: nothing is ignored
//! silently.

use std::path::Path;

use crate::artifacts::Artifacts;
use crate::error::Fault;
use crate::family::{CACHE, Family, SESSION, is_ours};
use crate::files::Files;
use crate::find::{is_known, nearest};
use crate::ini::Ini;
use crate::section::Resolver;
use crate::setting::{Globals, Setting};
use crate::{log, python};

/// The faults of sections with a misspelt prefix: with `[sever:main]` the app would be served at another address.
pub(crate) fn misspelt_sections(ini: &Ini) -> Vec<Fault> {
    let unknown = ini.sections.iter().filter(|section| !is_known(&section.name));
    let fault = |section: &crate::ini::Section| {
        let meant = nearest(&section.name)?;
        let message = format!("[{}]: there is no such kind of section; did you mean `{meant}`?", section.name);
        Some(Fault::new(&ini.file, section.line, message))
    };
    unknown.filter_map(fault).collect()
}

/// The faults of environment variables with a misspelt name.
pub(crate) fn misspelt_variables(environment: &Globals) -> Vec<Fault> {
    let strange = environment.values().filter(|variable| !is_ours(&variable.name));
    let fault = |variable: &Setting| {
        let bad = ampoule::Settings::parse([(variable.name.as_str(), "")]).err()?;
        let bad = bad.0.into_iter().find(|bad| bad.name == variable.name)?;
        Some(variable.fault(bad.message))
    };
    strange.filter_map(fault).collect()
}

/// The warnings about sections that nothing refers to and whose prefix is unknown.
pub(crate) fn sections(ini: &Ini, path: &Path, resolver: &Resolver) -> Vec<Fault> {
    let strange = ini.sections.iter().filter(|section| {
        let is_named = resolver.has_visited(path, &section.name) || python::is_logging(&section.name);
        !is_known(&section.name) && !is_named
    });
    let warning = |section: &crate::ini::Section| {
        let message = format!("[{}]: ignored: it belongs to another program, or no section refers to it", section.name);
        Fault::new(&ini.file, section.line, message)
    };
    let logging = log::note(ini).map(|(line, message)| Fault::new(&ini.file, line, message));
    strange.map(warning).chain(logging).collect()
}

/// The warnings about global options without effect: of `[DEFAULT]`, the environment and the command line.
pub(crate) fn globals(globals: &Globals, files: &Files, made: &Artifacts) -> Vec<Fault> {
    let family = |family: &Family, is_there: bool, what: &str| {
        let unused = move |setting: &&Setting| !is_there && (family.option_of)(&setting.name).is_some();
        let message = format!("ignored: this file has no {what}");
        globals.values().filter(unused).map(|setting| setting.fault(&message)).collect::<Vec<_>>()
    };
    let mut warnings = family(&SESSION, !made.sessions.is_empty(), "session");
    warnings.extend(family(&CACHE, !made.caches.is_empty(), "cache"));
    let of_python = || globals.values().filter(|one| python::is_option(&one.name) && !made.read.contains(&one.name));
    if let Some(first) = of_python().next() {
        let names: Vec<&str> = of_python().map(|setting| setting.name.as_str()).collect();
        warnings.push(
            first.location.fault(&names.join(", "), "ignored: options of a Python framework, which no app here uses"),
        );
    }
    let is_read =
        |name: &str| is_ours(name) || python::is_option(name) || made.read.contains(name) || files.mentions(name);
    let unread = globals.values().filter(|one| one.location.is_command_line() && !is_read(&one.name));
    warnings.extend(unread.map(|setting| {
        setting.fault(
            "ignored: nothing in this file reads it; it sets an option of [DEFAULT], and those of sessions and caches start \
             with beaker.session. and beaker.cache.",
        )
    }));
    warnings
}
