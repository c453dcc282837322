//! What can be seen of a guarded store: a span for each operation and, with the feature `metrics`, counters.

use std::fmt;

use tracing::{Level, Span};

use crate::error::Error;
use crate::key::StoreKey;

/// The operation's span, where spans of this level are recorded.
pub(super) fn span(operation: &'static str, key: Option<StoreKey>) -> Option<Span> {
    if !tracing::level_enabled!(Level::DEBUG) {
        return None;
    }
    let key = key.map(|key| tracing::field::display(Short(key)));
    Some(tracing::debug_span!("store", operation, key))
}

/// Enough of a key to tell records apart in a log. The first characters: the last ones of a key may say only its kind.
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

/// An operation that was not admitted.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
pub(super) fn refused(store: &'static str, operation: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_store_refusals", "operation" => operation, "store" => store).increment(1);
}

/// Describes the counters and histograms of stores to the recorder.
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!("ampoule_store_operations", "Calls of the store, counted by how they ended");
    describe_histogram!("ampoule_store_seconds", Unit::Seconds, "How long calls of the store took");
    describe_counter!("ampoule_store_refusals", "Calls of the store that were not made, since the circuit was open");
    describe_counter!("ampoule_swept", "Expired values that a sweep removed");
}

/// So many values were removed by a sweep.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables))]
pub(super) fn swept(store: &'static str, removed: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_swept", "store" => store).increment(removed);
}
