//! How a region keeps its values, and how a backend works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Clock, Error, ErrorKind, MemoryBounds, NonExhaustive, SystemClock};

/// How a region keeps its values: for how long, and who creates them.
///
/// ```
/// use std::time::Duration;
/// use ampoule_cache::CacheOptions;
///
/// let short_term = CacheOptions { expire: Duration::from_secs(60), stale: Duration::from_secs(30), ..CacheOptions::default() };
/// ```
///
/// End a literal with `..CacheOptions::default()`: a later version may have more of them.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOptions {
    /// Whether anything is cached at all: `true` by default. With `false` every call goes through to its creator.
    pub enabled: bool,
    /// How long a value is fresh: an hour by default. Beaker kept values for ever where none was said.
    pub expire: Duration,
    /// How long a value that has expired may still be given out while one caller creates the next, or when creating it
    /// fails: zero by default, so that all wait for the new one. (`stale-while-revalidate` and `stale-if-error` of RFC
    /// 5861; Beaker did the first always, without a bound.)
    pub stale: Duration,
    /// How early a value in demand is created anew before it expires, as the factor β of XFetch (Vattani, Chierichetti,
    /// Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): 1 by default. One caller, chosen by
    /// chance the more likely the longer creating takes and the nearer the end is, creates while the others go on with
    /// the value that there is. 0 for never.
    pub early: f64,
    /// How long others wait for one creator before they create for themselves: 10 seconds by default. So long the lease
    /// lasts, too, by which the processes that share a store agree on one of them; when the holder dies, the next one
    /// creates after this time.
    pub lease: Duration,
    /// Whether the processes that share a store agree on one creator, which costs three short commands for each value
    /// created: `true` by default. In one process there is always one at a time.
    pub shared_lease: bool,
    /// How long the failure of a creator is kept by
    /// [`get_or_insert_result_with`](crate::Cache::get_or_insert_result_with): a second by default. All other methods
    /// keep no failures.
    pub failure_expire: Duration,
    /// The largest value, in bytes as it is encoded: 1 MiB by default. A larger one is given out and not kept.
    pub max_value_size: usize,
    /// Where there is memory before a store: how long a value in memory is given out without asking the store. A second
    /// by default. This is the bound on how long a change by another process may go unseen; where the store tells of
    /// changes, as Redis does, it is mostly seen at once.
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
    /// Everything that is wrong, by the names of the options.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
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
            self.faults().into_iter().map(|(option, message)| format!("{region}.{option}: {message}")).collect();
        if faults.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Config, faults.join("\n"))) }
    }
}

/// How a [`Backend`](crate::Backend) works.
///
/// End a literal with `..BackendOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct BackendOptions {
    /// How much memory holds at most, where there is memory: by default 100,000 values and 64 MiB. Beyond it what is
    /// used least is forgotten.
    pub bounds: MemoryBounds,
    /// The limit on each operation of a store: a second by default.
    pub store_timeout: Option<Duration>,
    /// After so many failures in a row, 5 by default, the store is not asked for a second (the circuit is open, for reads
    /// or for writes: see [`GuardedStore`](ampoule_core::GuardedStore)). 0 for never.
    pub fail_fast_after: usize,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for BackendOptions {
    fn default() -> BackendOptions {
        BackendOptions {
            bounds: MemoryBounds { entries: 100_000, bytes: 64 << 20 },
            store_timeout: Some(Duration::from_secs(1)),
            fail_fast_after: 5,
            clock: Arc::new(SystemClock),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
