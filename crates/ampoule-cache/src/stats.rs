//! The counters of a cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a cache since this process began to use it.
///
/// With the feature `metrics` each is also the counter `ampoule_cache`, with the labels `cache` (the namespace) and
/// `event` (the name of the field).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Fresh values that were returned.
    pub hits: u64,
    /// Lookups that found no value.
    pub misses: u64,
    /// Expired values that were returned, as `stale` allows.
    pub stale: u64,
    /// Callers that waited for another caller's value and got it.
    pub waits: u64,
    /// Values that were created.
    pub creations: u64,
    /// Creators that failed.
    pub failures: u64,
    /// Operations of the store that failed; the callers continued without it.
    pub unavailable: u64,
    /// Values that were not stored, since they are too large.
    pub too_large: u64,
}

macro_rules! counters {
    ($($event:ident)*) => {
        /// The counters behind [`CacheStats`].
        #[derive(Default)]
        pub(crate) struct Counters {
            #[cfg(feature = "metrics")]
            pub(crate) namespace: String,
            $($event: AtomicU64,)*
        }

        impl Counters {
            $(
                /// Adds one; returns the count before.
                pub(crate) fn $event(&self) -> u64 {
                    #[cfg(feature = "metrics")]
                    metrics::counter!("ampoule_cache", "cache" => self.namespace.clone(), "event" => stringify!($event)).increment(1);
                    self.$event.fetch_add(1, Ordering::Relaxed)
                }
            )*

            pub(crate) fn read(&self) -> CacheStats {
                CacheStats { $($event: self.$event.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters!(hits misses stale waits creations failures unavailable too_large);

/// Describes the counter of caches to the recorder. Applications call `ampoule::describe_metrics`.
#[cfg(feature = "metrics")]
#[doc(hidden)]
pub fn describe_metrics() {
    metrics::describe_counter!("ampoule_cache", "Events of a cache: lookups by outcome, creations, failures");
}

impl Counters {
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
    pub(crate) fn new(namespace: &str) -> Counters {
        Counters {
            #[cfg(feature = "metrics")]
            namespace: namespace.to_owned(),
            ..Counters::default()
        }
    }
}
