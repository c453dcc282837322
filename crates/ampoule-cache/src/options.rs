//! The options of a region and of a backend.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Error, ErrorKind, MemoryBounds, SystemClock};

/// The options of a region: for how long values are kept, and which caller creates them.
///
/// ```
/// use std::time::Duration;
/// use ampoule_cache::CacheOptions;
///
/// let short_term = CacheOptions { expire: Duration::from_secs(60), stale: Duration::from_secs(30), ..CacheOptions::default() };
/// ```
///
/// End a literal with `..CacheOptions::default()`: a later version may add options.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOptions {
    /// Whether the region caches at all: `true` by default. With `false` every call runs its creator.
    pub enabled: bool,
    /// How long a value is fresh: an hour by default, from a millisecond to a year. (Beaker's default was to never
    /// expire.)
    pub expire: Duration,
    /// How long an expired value may still be returned while one caller creates the next, or when creating it fails.
    /// Zero by default, at most a year: with zero, all callers wait for the new value. (`stale-while-revalidate` and
    /// `stale-if-error` of RFC 5861; Beaker always did the first, without a bound.)
    pub stale: Duration,
    /// How early a value that is in demand is created again before it expires: the factor β of XFetch (Vattani,
    /// Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015). 1 by default, at most
    /// 100. Near the end of a value's life, one caller creates the next value while the others get the present one.
    /// Each call is chosen at random; the probability grows with the time that creating takes, and as the end comes
    /// near. 0 disables it.
    pub early: f64,
    /// How long the lease lasts by which the processes that share a store agree on one creator: 10 seconds by default,
    /// from a millisecond to an hour. If the process that acquired it is killed, another one creates the value after
    /// this time. A caller waits for a creator in its own process for up to twice as long, then creates the value
    /// itself.
    pub lease: Duration,
    /// Whether the processes that share a store agree on one creator, which takes three short commands for each created
    /// value: `true` by default. With `false` each process has one creator at a time.
    pub shared_lease: bool,
    /// How long [`get_or_insert_result_with`](crate::Cache::get_or_insert_result_with) keeps the failure of a creator:
    /// a second by default, at most [`expire`](CacheOptions::expire). All other methods keep no failures.
    pub failure_expire: Duration,
    /// The largest value that is kept, in encoded bytes: 1 MiB by default. A larger one is returned to its caller and
    /// not kept.
    pub max_value_size: usize,
    /// For memory before a store: how long a value in memory is returned without reading the store. A second by
    /// default. A change by another process may go unseen for as long; a store that reports changes, such as Redis,
    /// mostly makes it visible at once.
    pub memory_expire: Duration,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for CacheOptions {
    fn default() -> CacheOptions {
        CacheOptions {
            enabled: true,
            expire: Duration::from_secs(3_600),
            stale: Duration::ZERO,
            early: 1.0,
            lease: Duration::from_secs(10),
            shared_lease: true,
            failure_expire: Duration::from_secs(1),
            max_value_size: 1 << 20,
            memory_expire: Duration::from_secs(1),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

impl CacheOptions {
    /// Returns everything that is wrong with these options, as pairs of an option's name and a message.
    #[doc(hidden)]
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |wrong: bool, option, message: &str| {
            if wrong {
                faults.push((option, message.to_owned()));
            }
        };
        const YEAR: Duration = Duration::from_secs(366 * 86_400);
        check(self.expire.is_zero() || self.expire > YEAR, "expire", "expected from a millisecond to a year");
        check(self.stale > YEAR, "stale", "expected at most a year");
        check(!(0.0..=100.0).contains(&self.early), "early", "expected a number from 0 (never early) to 100");
        let hour = Duration::from_secs(3_600);
        check(self.lease.is_zero() || self.lease > hour, "lease", "expected from a millisecond to an hour");
        check(
            self.failure_expire > self.expire && !self.expire.is_zero(),
            "failure_expire",
            "expected no more than `expire`",
        );
        faults
    }

    pub(crate) fn check(&self, region: &str) -> Result<(), Error> {
        let faults: Vec<String> =
            self.validate().into_iter().map(|(option, message)| format!("{region}.{option}: {message}")).collect();
        if faults.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Config, faults.join("\n"))) }
    }
}

/// The options of a [`Backend`](crate::Backend).
///
/// ```
/// use ampoule_cache::{Backend, BackendOptions};
/// use ampoule_core::MemoryBounds;
///
/// let bounds = MemoryBounds { entries: 10_000, ..MemoryBounds::default() };
/// let backend = Backend::memory(&BackendOptions { bounds, ..BackendOptions::default() });
/// ```
///
/// End a literal with `..BackendOptions::default()`: a later version may add options.
#[derive(Clone, Debug)]
pub struct BackendOptions {
    /// The bounds of memory, if the backend has memory: 100,000 values and 64 MiB by default. Beyond them the least
    /// used values are removed.
    pub bounds: MemoryBounds,
    /// The time limit on each operation of the store: a second by default. `None` disables it; with zero, only a store
    /// in memory answers.
    pub store_timeout: Option<Duration>,
    /// The circuit opens for a second after this number of consecutive failures of the store, 5 by default: the store
    /// is not called meanwhile. Reads and writes have a circuit each. 0 disables it.
    pub fail_fast_after: usize,
    /// About how often a process removes expired values, from memory and from the store: 60 seconds by default. The
    /// first value that it stores starts a task, which ends with the backend. Expired values are never returned, swept
    /// or not, but they take space: in memory until its bounds are reached, and in files, SQLite, PostgreSQL and MySQL
    /// until they are swept. Redis and memcached remove them by themselves. With `None`, call
    /// [`CacheManager::sweep`](crate::CacheManager::sweep). No task runs without a
    /// [`store_timeout`](Self::store_timeout). At least 10 milliseconds; a shorter one counts as that.
    pub sweep_interval: Option<Duration>,
    /// The clock; the system's by default.
    pub clock: Arc<dyn Clock>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for BackendOptions {
    fn default() -> BackendOptions {
        BackendOptions {
            bounds: MemoryBounds { entries: 100_000, bytes: 64 << 20, ..MemoryBounds::default() },
            store_timeout: Some(Duration::from_secs(1)),
            fail_fast_after: 5,
            sweep_interval: Some(Duration::from_secs(60)),
            clock: Arc::new(SystemClock),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
