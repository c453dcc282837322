//! Counters of sessions, with the feature `metrics`; without it these functions are empty. Those of the store are kept by
//! `GuardedStore`.

use crate::event::EventKind;

/// A save met another writer and tries again.
pub(crate) fn conflict() {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_session_conflicts").increment(1);
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn event(kind: EventKind) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_sessions", "event" => kind.name()).increment(1);
}
