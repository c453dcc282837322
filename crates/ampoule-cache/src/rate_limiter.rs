//! A rate limiter whose counts are exact among all processes that share the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, MemoryBounds, MemoryStore, PutMode, PutResult, Store, StoreKey, Time, Version,
};

use crate::backend::Backend;
use crate::key;

/// How often a count is retried after a conflict, in addition to `burst`. Each writer that was faster took one of the
/// `burst`, so the limit is reached after a few more.
const EXTRA_ATTEMPTS: u32 = 64;

/// How long a caller should wait after more conflicts than that.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bounds of a limiter in memory: beyond them the oldest counts are removed.
const DEFAULT_BOUNDS: MemoryBounds =
    MemoryBounds { entries: 1_000_000, bytes: 64 << 20, __non_exhaustive: NonExhaustive::NEW };

/// The most ended counts that a write removes from memory.
const MAX_SWEPT: usize = 8;

/// A rate: a burst at once, and on average the same number in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many are admitted at once, at least 1.
    pub burst: u32,
    /// The time in which the burst becomes available again, one after the other: with 10 in an hour, one every six
    /// minutes.
    pub per: Duration,
}

impl Rate {
    /// Creates a rate of `burst` in each `per`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ampoule_cache::Rate;
    ///
    /// const LOGINS: Rate = Rate::new(10, Duration::from_secs(3_600));
    /// ```
    pub const fn new(burst: u32, per: Duration) -> Rate {
        Rate { burst, per }
    }

    fn interval(self) -> Duration {
        self.per / self.burst.max(1)
    }
}

/// The answer of a [`RateLimiter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Admitted, and counted.
    Admitted,
    /// Refused, and not counted.
    Refused {
        /// How long to wait until the next is admitted.
        retry_after: Duration,
    },
}

/// Limits how often something happens under each key: logins of a user, requests of a client. Clones share one limiter.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use ampoule_cache::{Admission, Backend, BackendOptions, Rate, RateLimiter};
///
/// let backend = Backend::memory(&BackendOptions::default());
/// let sign_ups = RateLimiter::new(&backend, "sign-ups", Rate::new(2, Duration::from_secs(60)))?;
/// assert_eq!(sign_ups.admit("192.0.2.1").await?, Admission::Admitted);
/// assert_eq!(sign_ups.admit("192.0.2.1").await?, Admission::Admitted);
/// assert!(matches!(sign_ups.admit("192.0.2.1").await?, Admission::Refused { .. }));
/// assert_eq!(sign_ups.admit("192.0.2.2").await?, Admission::Admitted);
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
///
/// Each count is a conditional put of one small record, which expires by itself: all concurrent callers in all
/// processes together are admitted no more often than the rate allows. A refusal writes nothing. The algorithm is the
/// generic cell rate algorithm (ITU-T I.371): the record is the moment at which the key is free again.
///
/// - In a store all processes count together. In memory each process counts alone, and so does each limiter; there the
///   oldest counts are removed when more than a million keys, or 64 MiB, are in use.
/// - The time is that of the backend's clock. Processes whose clocks differ count differently by as much.
/// - Keys are stored as digests.
#[derive(Clone)]
pub struct RateLimiter {
    backend: Backend,
    /// In place of the backend's store, if it has none.
    memory: Option<Arc<MemoryStore>>,
    namespace: Arc<str>,
    rate: Rate,
}

impl RateLimiter {
    /// Creates a limiter of this namespace. Two limiters of one namespace in one store count together, and need the
    /// same rate.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a burst of 0, or a rate of more than one in a millisecond.
    pub fn new(backend: &Backend, namespace: &str, rate: Rate) -> Result<RateLimiter, Error> {
        if rate.burst == 0 || rate.interval() < Duration::from_millis(1) {
            let message = format!(
                "the rate of {namespace}: expected a burst of at least 1 and at most one in a millisecond, found {rate:?}"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let in_memory = || Arc::new(MemoryStore::new(DEFAULT_BOUNDS, Arc::clone(&backend.0.clock)));
        let memory = backend.0.store.is_none().then(in_memory);
        Ok(RateLimiter { backend: backend.clone(), memory, namespace: namespace.into(), rate })
    }

    /// Counts one under `key`, if the rate allows it.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use ampoule_cache::{Admission, Backend, BackendOptions, Rate, RateLimiter};
    ///
    /// let backend = Backend::memory(&BackendOptions::default());
    /// let exports = RateLimiter::new(&backend, "exports", Rate::new(1, Duration::from_secs(60)))?;
    /// assert_eq!(exports.admit("user:42").await?, Admission::Admitted);
    /// let Admission::Refused { retry_after } = exports.admit("user:42").await? else { panic!("expected a refusal") };
    /// assert!(retry_after <= Duration::from_secs(60));
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Errors of the store: the call may have been counted. The caller decides whether to continue without a limit.
    pub async fn admit(&self, key: &str) -> Result<Admission, Error> {
        let key = key::rate(&self.namespace, key);
        for _ in 0..self.rate.burst.saturating_add(EXTRA_ATTEMPTS) {
            let (free_at, version) = self.read(key).await?;
            let now = self.backend.0.now();
            let next = free_at.max(now) + self.rate.interval();
            let ahead = next.since(now);
            if ahead > self.window() {
                return Ok(Admission::Refused { retry_after: ahead - self.window() });
            }
            if self.write(key, next, now, version).await? {
                return Ok(Admission::Admitted);
            }
        }
        Ok(Admission::Refused { retry_after: BUSY_RETRY_AFTER })
    }

    /// Takes one count back, for example for an event that proved harmless.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use ampoule_cache::{Admission, Backend, BackendOptions, Rate, RateLimiter};
    ///
    /// let backend = Backend::memory(&BackendOptions::default());
    /// let guesses = RateLimiter::new(&backend, "guesses", Rate::new(1, Duration::from_secs(60)))?;
    /// guesses.admit("user:42").await?;
    /// guesses.give_back("user:42").await?; // The password was right.
    /// assert_eq!(guesses.admit("user:42").await?, Admission::Admitted);
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Errors of the store, and [`ErrorKind::Conflict`] if many other callers count at the same time: the count then
    /// stays.
    pub async fn give_back(&self, key: &str) -> Result<(), Error> {
        let key = key::rate(&self.namespace, key);
        for _ in 0..self.rate.burst.saturating_add(EXTRA_ATTEMPTS) {
            let (free_at, version) = self.read(key).await?;
            let Some(version) = version else { return Ok(()) };
            if self.write(key, free_at - self.rate.interval(), self.backend.0.now(), Some(version)).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other callers counted first in each attempt to take a count back"))
    }

    /// How far ahead of the present the free moment may be. Intervals are whole milliseconds.
    fn window(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.rate.interval().as_millis()).unwrap_or(u64::MAX)) * self.rate.burst
    }

    /// The moment at which the key is free, and the version of its record.
    async fn read(&self, key: StoreKey) -> Result<(Time, Option<Version>), Error> {
        let Some(stored) = self.store().get(key).await? else { return Ok((Time::ZERO, None)) };
        // A damaged record is replaced, in the version that was read.
        let free_at = <[u8; 8]>::try_from(&*stored.value)
            .map_or(Time::ZERO, |bytes| Time::from_millis(u64::from_le_bytes(bytes)));
        Ok((free_at, Some(stored.version)))
    }

    /// Writes the moment, and returns whether it was written; a moment that has passed removes the record.
    async fn write(&self, key: StoreKey, free_at: Time, now: Time, version: Option<Version>) -> Result<bool, Error> {
        let value = Bytes::copy_from_slice(&free_at.as_millis().to_le_bytes());
        let entry = Entry { value, lifetime: free_at.since(now), tag: None };
        let mode = version.map_or(PutMode::Create, PutMode::Replace);
        // If the store is full, a count is lost rather than the event refused.
        let is_written = matches!(self.store().put_evictable(key, entry, mode).await?, PutResult::Stored(_));
        if is_written {
            self.sweep().await;
        }
        Ok(is_written)
    }

    /// Removes some ended counts from memory with each write. In a store the backend's task removes them.
    async fn sweep(&self) {
        match &self.memory {
            Some(memory) => drop(memory.sweep(MAX_SWEPT).await),
            None => self.backend.0.start_sweeping(),
        }
    }

    fn store(&self) -> &dyn Store {
        match (&self.backend.0.store, &self.memory) {
            (Some(remote), _) => remote.store(),
            (None, Some(memory)) => &**memory,
            (None, None) => unreachable!("a limiter without a store has a memory of its own"),
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimiter({}, {:?})", self.namespace, self.rate)
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::ManualClock;
    use proptest::prelude::*;

    use super::*;
    use crate::options::BackendOptions;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limiter(store: Option<Arc<dyn Store>>, rate: Rate) -> (RateLimiter, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Time::from_millis(1_700_000_000_000)));
        let options = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
        let backend = match store {
            Some(store) => Backend::store(store, &options),
            None => Backend::memory(&options),
        };
        (RateLimiter::new(&backend, "n", rate).unwrap(), clock)
    }

    async fn is_admitted(limiter: &RateLimiter, key: &str) -> bool {
        limiter.admit(key).await.unwrap() == Admission::Admitted
    }

    #[tokio::test]
    async fn a_burst_is_admitted_and_then_one_in_each_interval() {
        let (limiter, clock) = limiter(None, Rate::new(3, MINUTE));
        for _ in 0..3 {
            assert!(is_admitted(&limiter, "a").await);
        }
        let retry_after = Duration::from_secs(20);
        assert_eq!(limiter.admit("a").await.unwrap(), Admission::Refused { retry_after });
        assert!(is_admitted(&limiter, "b").await, "another key");
        clock.advance(retry_after - Duration::from_millis(1));
        assert!(!is_admitted(&limiter, "a").await);
        clock.advance(Duration::from_millis(1));
        assert!(is_admitted(&limiter, "a").await && !is_admitted(&limiter, "a").await);
        clock.advance(MINUTE);
        for expected in [true, true, true, false] {
            assert_eq!(is_admitted(&limiter, "a").await, expected);
        }
        limiter.give_back("a").await.unwrap();
        assert!(is_admitted(&limiter, "a").await && !is_admitted(&limiter, "a").await);
        limiter.give_back("unknown").await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn parallel_callers_of_two_processes_are_counted_exactly() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let rate = Rate::new(7, MINUTE);
        let processes = [limiter(Some(store.clone()), rate).0, limiter(Some(store.clone()), rate).0];
        let callers = (0..400).map(|number| {
            let limiter = processes[number % 2].clone();
            tokio::spawn(async move { is_admitted(&limiter, "a").await })
        });
        let mut admitted = 0;
        for caller in callers.collect::<Vec<_>>() {
            admitted += u32::from(caller.await.unwrap());
        }
        assert_eq!(admitted, 7);
        for key in ["a", "unseen"].map(|key| key::rate("n", key)) {
            let [one, two] = &processes;
            let now = one.backend.0.now();
            let ((free_at, version), seen_by_two) = (one.read(key).await.unwrap(), two.read(key).await.unwrap().1);
            assert!(one.write(key, now + MINUTE, now, version).await.unwrap());
            assert!(!two.write(key, now + MINUTE, now, seen_by_two).await.unwrap(), "another caller was faster");
            assert!(one.write(key, free_at, now, one.read(key).await.unwrap().1).await.unwrap());
        }
        let given_back = (0..4).map(|number| {
            let limiter = processes[number % 2].clone();
            tokio::spawn(async move { limiter.give_back("a").await.unwrap() })
        });
        for done in given_back.collect::<Vec<_>>() {
            done.await.unwrap();
        }
        let mut again = 0;
        for _ in 0..10 {
            again += u32::from(is_admitted(&processes[0], "a").await);
        }
        assert_eq!(again, 4);
    }

    #[tokio::test]
    async fn an_ended_count_leaves_no_record() {
        let clock = Arc::new(ManualClock::default());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
        let options = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
        let limiter = RateLimiter::new(&Backend::store(store.clone(), &options), "n", Rate::new(2, MINUTE)).unwrap();
        assert!(is_admitted(&limiter, "a").await && is_admitted(&limiter, "b").await);
        limiter.give_back("b").await.unwrap();
        assert_eq!(store.scan(None, 10).await.unwrap().keys, [key::rate("n", "a")]);
        clock.advance(MINUTE / 2);
        assert!(store.get(key::rate("n", "a")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn counts_that_have_ended_take_no_memory() {
        let (limiter, clock) = limiter(None, Rate::new(2, MINUTE));
        for number in 0..800 {
            assert!(is_admitted(&limiter, &number.to_string()).await);
        }
        clock.advance(MINUTE);
        for number in 0..200 {
            assert!(is_admitted(&limiter, &number.to_string()).await);
        }
        let left = limiter.memory.as_ref().unwrap().sweep(10_000).await.unwrap().removed;
        assert_eq!(left, 0);
    }

    #[test]
    fn an_invalid_rate_is_refused() {
        let backend = Backend::memory(&BackendOptions::default());
        for rate in [Rate::new(0, MINUTE), Rate::new(1, Duration::ZERO), Rate::new(2_000, Duration::from_secs(1))] {
            let error = RateLimiter::new(&backend, "n", rate).unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.to_string().starts_with("the rate of n: "), "{error}");
        }
    }

    proptest! {
        /// In any period, no more than the burst and what became available in the period.
        #[test]
        fn no_period_exceeds_the_rate(burst in 1_u32..6, steps in prop::collection::vec(0_u64..40_000, 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let rate = Rate::new(burst, MINUTE);
                let (limiter, clock) = limiter(None, rate);
                let (mut now, mut admitted) = (0, Vec::new());
                for step in steps {
                    now += step;
                    clock.advance(Duration::from_millis(step));
                    if is_admitted(&limiter, "a").await {
                        admitted.push(now);
                    }
                }
                let interval = u64::try_from(rate.interval().as_millis()).unwrap();
                for (first, from) in admitted.iter().enumerate() {
                    for (last, to) in admitted.iter().enumerate().skip(first) {
                        let share = u64::from(burst) + (to - from) / interval;
                        prop_assert!((last - first + 1) as u64 <= share, "{admitted:?}");
                    }
                }
                Ok(())
            })?;
        }
    }
}
