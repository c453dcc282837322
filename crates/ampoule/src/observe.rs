//! Counters and histograms, with the feature `metrics`; without it these functions are empty.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `ampoule_store_operations` | counter | `operation`: get, put, touch, delete, tagged, sweep; `outcome`: ok, unavailable, timeout, … |
//! | `ampoule_store_seconds` | histogram | `operation` |
//! | `ampoule_store_refusals` | counter, operations that were not tried since the store rests | `operation` |
//! | `ampoule_session_conflicts` | counter, saves that met a faster writer and tried again | |
//! | `ampoule_sessions` | counter | `event`: created, rotated, destroyed, expired |
//! | `ampoule_swept` | counter, expired sessions that a sweep removed | |

use std::fmt;

use ampoule_core::{Error, Reply, StoreKey};
use tracing::{Instrument, Level, Span};

use crate::event::EventKind;

/// Enough of a handle to tell sessions apart in a log. Made into text only where somebody listens.
pub(crate) struct Short(pub(crate) StoreKey);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.get(35..).unwrap_or(&text))
    }
}

/// What an operation is seen by in a trace, where somebody looks.
fn span(operation: &'static str, key: Option<StoreKey>) -> Option<Span> {
    if !tracing::level_enabled!(Level::DEBUG) {
        return None;
    }
    let short = key.map(|key| tracing::field::display(Short(key)));
    Some(tracing::debug_span!("store", operation, session = short))
}

/// Asks the store, seen by whoever traces and counted by whoever counts. Where nobody does, nothing is added.
pub(crate) fn watched<'a, T: Send + 'a>(
    operation: &'static str,
    key: Option<StoreKey>,
    ask: impl FnOnce() -> Reply<'a, T>,
) -> Reply<'a, T> {
    let watch = Watch::start(operation);
    let span = span(operation, key);
    let reply = match &span {
        None => ask(),
        Some(span) => span.in_scope(ask),
    };
    if span.is_none() && cfg!(not(feature = "metrics")) {
        return reply;
    }
    match reply.at_hand() {
        Ok(answer) => {
            watch.stop(&answer);
            Reply::ready(answer)
        }
        Err(later) => Reply::new(async move {
            let answer = later.instrument(span.unwrap_or_else(Span::none)).await;
            watch.stop(&answer);
            answer
        }),
    }
}

/// The time that an operation takes.
struct Watch {
    #[cfg(feature = "metrics")]
    started: (&'static str, std::time::Instant),
}

impl Watch {
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
    fn start(operation: &'static str) -> Watch {
        Watch {
            #[cfg(feature = "metrics")]
            started: (operation, std::time::Instant::now()),
        }
    }

    #[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
    fn stop<T>(self, answer: &Result<T, Error>) {
        #[cfg(feature = "metrics")]
        {
            let (operation, started) = self.started;
            let outcome = answer.as_ref().map_or_else(|error| error.kind().name(), |_| "ok");
            metrics::counter!("ampoule_store_operations", "operation" => operation, "outcome" => outcome).increment(1);
            metrics::histogram!("ampoule_store_seconds", "operation" => operation).record(started.elapsed());
        }
    }
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn refused(operation: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_store_refusals", "operation" => operation).increment(1);
}

pub(crate) fn conflict() {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_session_conflicts").increment(1);
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn swept(removed: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ampoule_swept").increment(removed);
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
pub(crate) fn event(kind: EventKind) {
    #[cfg(feature = "metrics")]
    {
        let event = match kind {
            EventKind::Created => "created",
            EventKind::Rotated { .. } => "rotated",
            EventKind::Destroyed => "destroyed",
            EventKind::Expired => "expired",
        };
        metrics::counter!("ampoule_sessions", "event" => event).increment(1);
    }
}
