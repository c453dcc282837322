//! The side results of factories: notes, warnings, session layers, caches.

use std::collections::BTreeSet;

use ampoule::SessionLayer;
use ampoule::cache::CacheManager;

use crate::error::Fault;

/// The side results of all factories, from the outermost section inwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Artifacts {
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<Fault>,
    /// Where each option of a session or cache comes from, a line for each of them.
    pub(crate) origins: Vec<String>,
    pub(crate) sessions: Vec<SessionLayer>,
    /// The names of the sessions whose cookies are `Secure`.
    pub(crate) secure: Vec<String>,
    pub(crate) caches: Vec<CacheManager>,
    /// The names of the options that a factory read.
    pub(crate) read: BTreeSet<String>,
    /// Whether a filter declares that requests arrive by https.
    pub(crate) is_https: bool,
    /// Warnings about filters that in Paste trust `X-Forwarded-For` from every client.
    pub(crate) trusting_filters: Vec<Fault>,
}

impl Artifacts {
    pub(crate) fn append(&mut self, other: Artifacts) {
        let Artifacts { notes, warnings, origins, sessions, secure, caches, read, is_https, trusting_filters } = other;
        add_new(&mut self.notes, notes);
        add_new(&mut self.warnings, warnings);
        add_new(&mut self.origins, origins);
        add_new(&mut self.secure, secure);
        add_new(&mut self.trusting_filters, trusting_filters);
        self.sessions.extend(sessions);
        self.caches.extend(caches);
        self.read.extend(read);
        self.is_https |= is_https;
    }
}

/// Appends what is not in the list yet: a section that is used twice reports everything twice.
fn add_new<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
