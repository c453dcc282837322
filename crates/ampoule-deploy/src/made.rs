//! What factories leave behind beside what they return.

use std::collections::BTreeSet;

use ampoule::SessionLayer;
use ampoule::cache::CacheManager;

use crate::error::Fault;

/// Collected from the outermost section inwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<Fault>,
    /// Where each option of a session or cache comes from, a line for each of them.
    pub(crate) origins: Vec<String>,
    pub(crate) sessions: Vec<SessionLayer>,
    /// The names of those sessions whose cookies are for TLS alone.
    pub(crate) secure: Vec<String>,
    pub(crate) caches: Vec<CacheManager>,
    /// The options that a factory asked for by their names.
    pub(crate) read: BTreeSet<String>,
    /// A filter says that requests come by https.
    pub(crate) is_https: bool,
    /// Filters that would believe any client's `X-Forwarded-For` in Paste.
    pub(crate) believing: Vec<Fault>,
}

impl Made {
    pub(crate) fn append(&mut self, other: Made) {
        let Made { notes, warnings, origins, sessions, secure, caches, read, is_https, believing } = other;
        add_new(&mut self.notes, notes);
        add_new(&mut self.warnings, warnings);
        add_new(&mut self.origins, origins);
        add_new(&mut self.secure, secure);
        add_new(&mut self.believing, believing);
        self.sessions.extend(sessions);
        self.caches.extend(caches);
        self.read.extend(read);
        self.is_https |= is_https;
    }
}

/// A section that is used twice says the same twice.
fn add_new<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
