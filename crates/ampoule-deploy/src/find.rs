//! Finds the section of a name.

use crate::error::{did_you_mean, distance, nearest_first};
use crate::ini::{Ini, Section};

/// What a section describes, according to its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// An app or a composite; the factory decides which.
    App,
    Pipeline,
    FilterApp,
    Filter,
    Server,
}

/// The type of object that a name is looked up as: app, filter or server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ObjectType {
    /// The prefixes of its sections, and what each describes.
    pub(crate) prefixes: &'static [(&'static str, SectionKind)],
    /// Whether a section `[NAME]` without a prefix counts.
    bare: bool,
}

pub(crate) const APPS: ObjectType = ObjectType {
    prefixes: &[
        ("app", SectionKind::App),
        ("application", SectionKind::App),
        ("composite", SectionKind::App),
        ("composit", SectionKind::App),
        ("pipeline", SectionKind::Pipeline),
        ("filter-app", SectionKind::FilterApp),
    ],
    bare: true,
};
pub(crate) const FILTERS: ObjectType = ObjectType { prefixes: &[("filter", SectionKind::Filter)], bare: true };
// `[main]` without a prefix is an app, and no server.
pub(crate) const SERVERS: ObjectType = ObjectType { prefixes: &[("server", SectionKind::Server)], bare: false };

impl ObjectType {
    /// What a reference to a factory without a section describes.
    pub(crate) fn plain(&self) -> SectionKind {
        self.prefixes[0].1
    }

    /// What the section describes and its name, if it is of this type. `[app]` is `[app:main]`.
    fn of<'a>(&self, section: &'a str) -> Option<(SectionKind, &'a str)> {
        let (prefix, name) = match section.split_once(':') {
            Some((prefix, name)) => (prefix.trim(), name.trim()),
            None => (section, "main"),
        };
        let known = self.prefixes.iter().find(|(known, _)| *known == prefix).map(|(_, what)| (*what, name));
        let bare = self.bare && !section.contains(':') && section != "DEFAULT";
        known.or_else(|| bare.then(|| (self.plain(), section)))
    }
}

/// Whether the section's prefix is known.
pub(crate) fn is_known(section: &str) -> bool {
    let word = section.split_once(':').map_or(section, |(prefix, _)| prefix.trim());
    section == "DEFAULT" || words().any(|known| known == word)
}

/// The section that a misspelt one probably means: `[app:main]` for `[ap:main]`.
pub(crate) fn nearest(section: &str) -> Option<String> {
    let (word, name) = section.split_once(':').unwrap_or((section, ""));
    let lower = word.trim().to_ascii_lowercase();
    if lower == "default" && name.is_empty() {
        return Some("[DEFAULT]".to_owned());
    }
    let most = if lower.len() > 4 { 2 } else { 1 };
    let best = words().min_by_key(|known| distance(&lower, known)).filter(|known| distance(&lower, known) <= most)?;
    section.contains(':').then(|| format!("[{best}:{}]", name.trim()))
}

fn words() -> impl Iterator<Item = &'static str> {
    [&APPS, &FILTERS, &SERVERS].into_iter().flat_map(|kind| kind.prefixes).map(|(word, _)| *word)
}

/// All sections of this name and type.
pub(crate) fn find_all<'a>(ini: &'a Ini, kind: &ObjectType, name: &str) -> Vec<(SectionKind, &'a Section)> {
    let named = |section: &'a Section| {
        let (what, found) = kind.of(&section.name)?;
        (found == name).then_some((what, section))
    };
    ini.sections.iter().filter_map(named).collect()
}

/// The only section of this name and type.
///
/// # Errors
/// What was expected, if there is no such section or more than one.
pub(crate) fn find<'a>(ini: &'a Ini, kind: &ObjectType, name: &str) -> Result<(SectionKind, &'a Section), String> {
    match find_all(ini, kind, name)[..] {
        [found] => Ok(found),
        [] => Err(not_found(ini, kind, name)),
        [(_, first), (_, second), ..] => Err(format!(
            "ambiguous: `{name}` may be [{}] in line {} or [{}] in line {}",
            first.name, first.line, second.name, second.line
        )),
    }
}

fn not_found(ini: &Ini, kind: &ObjectType, name: &str) -> String {
    let expected: Vec<String> = kind.prefixes.iter().map(|(prefix, _)| format!("[{prefix}:{name}]")).collect();
    // A section without a prefix, such as [logging], is hardly an app, so it is not suggested.
    let there = ini.sections().filter(|section| section.contains(':')).filter_map(|section| kind.of(section));
    let there = nearest_first(name, there.map(|(_, name)| name));
    let hint = did_you_mean(name, there.iter().copied());
    let list = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    format!("there is no section {} in {}{hint} (it has {list})", expected.join(", "), ini.file)
}
