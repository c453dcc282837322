//! Counters of sessions, with the feature `metrics`; without it these functions are empty. The counters of the store
//! are in `GuardedStore`.

use crate::event::EventKind;

/// Counts a save that met another writer and tries again.
pub(crate) fn conflict() {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_session_conflicts").increment(1);
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn event(kind: EventKind) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_sessions", "event" => kind.name()).increment(1);
}

/// Counts a refused login, by the count that was exceeded.
#[cfg(feature = "throttle")]
#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn login_refused(by: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_logins_refused", "by" => by).increment(1);
}

/// Describes all metrics of Ampoule to the recorder of the crate `metrics`: those of sessions, of their store and of
/// caches.
///
/// Each [`SessionLayer`](crate::SessionLayer) does so when it is created. A program that installs its recorder later
/// calls this function then; calling it again has no effect.
///
/// ```
/// // metrics_exporter_prometheus::PrometheusBuilder::new().install()?;
/// ampoule::describe_metrics();
/// ```
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::describe_counter;
    describe_counter!("ampoule_session_conflicts", "Saves that met another writer, and tried again");
    describe_counter!(
        "ampoule_sessions",
        "Sessions that were created, forked by a login, rotated, destroyed, expired, replayed or conflicting"
    );
    describe_counter!("ampoule_logins_refused", "Logins that a throttle refused, by the count that was exceeded");
    ampoule_core::internal::describe_metrics();
    #[cfg(feature = "cache")]
    ampoule_cache::describe_metrics();
}
