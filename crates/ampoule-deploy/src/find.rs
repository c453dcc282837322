//! From a name to the section that describes it.

use crate::error::{did_you_mean, distance, nearest_first};
use crate::ini::{Ini, Section};

/// What a section describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An app, or a composite of apps: which of them, its factory says.
    App,
    Pipeline,
    FilterApp,
    Filter,
    Server,
}

/// What a name is looked up as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What a section of each prefix describes.
    pub(crate) prefixes: &'static [(&'static str, What)],
    /// Whether `[NAME]` without a prefix is one.
    bare: bool,
}

pub(crate) const APPS: Kind = Kind {
    prefixes: &[
        ("app", What::App),
        ("application", What::App),
        ("composite", What::App),
        ("composit", What::App),
        ("pipeline", What::Pipeline),
        ("filter-app", What::FilterApp),
    ],
    bare: true,
};
pub(crate) const FILTERS: Kind = Kind { prefixes: &[("filter", What::Filter)], bare: true };
// `[main]` without a prefix is an app, and no server.
pub(crate) const SERVERS: Kind = Kind { prefixes: &[("server", What::Server)], bare: false };

impl Kind {
    /// What is described by a factory alone.
    pub(crate) fn plain(&self) -> What {
        self.prefixes[0].1
    }

    /// What the section describes and under which name, if it is of this kind. `[app]` is `[app:main]`.
    fn of<'a>(&self, section: &'a str) -> Option<(What, &'a str)> {
        let (prefix, name) = match section.split_once(':') {
            Some((prefix, name)) => (prefix.trim(), name.trim()),
            None => (section, "main"),
        };
        let known = self.prefixes.iter().find(|(known, _)| *known == prefix).map(|(_, what)| (*what, name));
        let bare = self.bare && !section.contains(':') && section != "DEFAULT";
        known.or_else(|| bare.then(|| (self.plain(), section)))
    }
}

/// Whether a section is of a kind that is known, for whatever name.
pub(crate) fn is_known(section: &str) -> bool {
    let word = section.split_once(':').map_or(section, |(prefix, _)| prefix.trim());
    section == "DEFAULT" || words().any(|known| known == word)
}

/// The section that a misspelt one is closest to, if it is close: `[app:main]` for `[ap:main]`.
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

/// Every section of this name and kind.
pub(crate) fn find_all<'a>(ini: &'a Ini, kind: &Kind, name: &str) -> Vec<(What, &'a Section)> {
    let named = |section: &'a Section| {
        let (what, found) = kind.of(&section.name)?;
        (found == name).then_some((what, section))
    };
    ini.sections.iter().filter_map(named).collect()
}

/// The one section of this name and kind.
///
/// # Errors
/// What was expected, if there is none or more than one.
pub(crate) fn find<'a>(ini: &'a Ini, kind: &Kind, name: &str) -> Result<(What, &'a Section), String> {
    match find_all(ini, kind, name)[..] {
        [found] => Ok(found),
        [] => Err(not_found(ini, kind, name)),
        [(_, first), (_, second), ..] => Err(format!(
            "ambiguous: `{name}` may be [{}] in line {} or [{}] in line {}",
            first.name, first.line, second.name, second.line
        )),
    }
}

fn not_found(ini: &Ini, kind: &Kind, name: &str) -> String {
    let expected: Vec<String> = kind.prefixes.iter().map(|(prefix, _)| format!("[{prefix}:{name}]")).collect();
    // A bare [logging] is hardly an app; it is never offered.
    let there = ini.sections().filter(|section| section.contains(':')).filter_map(|section| kind.of(section));
    let there = nearest_first(name, there.map(|(_, name)| name));
    let hint = did_you_mean(name, there.iter().copied());
    let list = if there.is_empty() { "nothing of the kind".to_owned() } else { there.join(", ") };
    format!("there is no section {} in {}{hint} (it has {list})", expected.join(", "), ini.file)
}
