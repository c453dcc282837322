//! What a guarded store reports: a span for each operation and, with the feature `metrics`, counters.

use std::fmt;

use tracing::{Level, Span};

use crate::error::Error;
use crate::key::StoreKey;

/// Returns the operation's span, if a subscriber records spans of this level.
pub(super) fn span(operation: &'static str, key: Option<StoreKey>) -> Option<Span> {
    if !tracing::level_enabled!(Level::DEBUG) {
        return None;
    }
    let key = key.map(|key| tracing::field::display(Short(key)));
    Some(tracing::debug_span!("store", operation, key))
}

/// The beginning of a key, enough to tell records apart in a log. The end of a key may be the same for all keys of a
/// kind.
struct Short(StoreKey);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.get(..8).unwrap_or(&text))
    }
}

/// Measures one operation.
pub(super) struct Timer {
    #[cfg(feature = "metrics")]
    started: std::time::Instant,
}

impl Timer {
    pub(super) fn start() -> Timer {
        Timer {
            #[cfg(feature = "metrics")]
            started: std::time::Instant::now(),
        }
    }

    #[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
    pub(super) fn stop<T>(self, store: &'static str, operation: &'static str, answer: &Result<T, Error>) {
        #[cfg(feature = "metrics")]
        {
            let outcome = answer.as_ref().map_or_else(|error| error.kind().name(), |_| "ok");
            let labels = [("operation", operation), ("outcome", outcome), ("store", store)];
            metrics::counter!("ampoule_store_operations", &labels).increment(1);
            let seconds = metrics::histogram!("ampoule_store_seconds", "operation" => operation, "store" => store);
            seconds.record(self.started.elapsed());
        }
    }
}

/// Counts an operation that was refused.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
pub(super) fn refused(store: &'static str, operation: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_store_refusals", "operation" => operation, "store" => store).increment(1);
}

/// Describes the counters and histograms of stores to the recorder.
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!("ampoule_store_operations", "Store operations, by outcome");
    describe_histogram!(
        "ampoule_store_seconds",
        Unit::Seconds,
        "Time from the call of a store operation to its answer"
    );
    describe_counter!("ampoule_store_refusals", "Store operations refused by an open circuit");
    describe_counter!("ampoule_swept", "Expired values removed by sweeps");
}

/// Counts the values that a sweep removed.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
pub(super) fn swept(store: &'static str, removed: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_swept", "store" => store).increment(removed);
}
