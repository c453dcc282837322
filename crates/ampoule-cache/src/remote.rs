//! The operations of a cache on its store: records, generations, marks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::internal::GuardedStore;
use ampoule_core::{Bytes, Entry, Error, ErrorKind, PutMode, PutResult, Store, StoreKey, Stored, Time, Version};
use futures_util::future::join_all;

use crate::format::{Generation, Record};
use crate::options::BackendOptions;

/// How long creating a value may take. A value that took longer is not stored: no mark would show whether it was
/// removed meanwhile.
pub(crate) const MAX_CREATION: Duration = Duration::from_secs(300);

/// How long the mark of a removed value is kept: longer than creating may take, plus the duration of the created
/// value's put and a store's rounding of deadlines.
const MARK_LIFETIME: Duration = Duration::from_secs(360);

/// How long a replaced generation is kept, unless a value that carries it is stored.
const RENEWED_LIFETIME: Duration = Duration::from_secs(86_400);

/// How often a generation is read again while other processes replace it.
const MAX_ATTEMPTS: u32 = 16;

/// The most generations whose deadlines a process remembers.
const MAX_PROLONGED: usize = 8_192;

/// The store of a cache.
pub(crate) struct Remote {
    store: GuardedStore,
    /// The deadlines, by this process's clock, until which the generations that it has created or prolonged are kept at
    /// least. The deadlines that the store returns may be of another clock.
    prolonged: Mutex<HashMap<StoreKey, (Version, Time)>>,
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn Store>, options: &BackendOptions) -> Remote {
        let store = GuardedStore::new(store, "cache store", options.store_timeout, options.fail_fast_after);
        Remote { store, prolonged: Mutex::default() }
    }

    pub(crate) fn store(&self) -> &GuardedStore {
        &self.store
    }

    pub(crate) async fn get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        self.store.get(key).await
    }

    pub(crate) async fn put(
        &self,
        key: StoreKey,
        value: Bytes,
        lifetime: Duration,
        mode: PutMode,
    ) -> Result<PutResult, Error> {
        self.store.put(key, Entry { value, lifetime, tag: None }, mode).await
    }

    /// Marks a value as removed, so that a creator that has begun does not store it.
    pub(crate) async fn remove(&self, key: StoreKey) -> Result<(), Error> {
        self.put(key, Record::Removed.encode(), MARK_LIFETIME, PutMode::Always).await.map(drop)
    }

    /// Replaces a generation.
    pub(crate) async fn renew(&self, key: StoreKey) -> Result<(), Error> {
        let generation = Bytes::copy_from_slice(&random_generation()?);
        self.put(key, generation, RENEWED_LIFETIME, PutMode::Always).await.map(drop)
    }

    /// The generation of a namespace or a tag, if there is one.
    pub(crate) async fn generation(&self, key: StoreKey) -> Result<Option<Generation>, Error> {
        Ok(self.get(key).await?.and_then(|stored| Generation::try_from(&*stored.value).ok()))
    }

    /// Whether each of these keys still has its generation.
    pub(crate) async fn are_current(
        &self,
        expected: impl Iterator<Item = (StoreKey, Generation)>,
    ) -> Result<bool, Error> {
        let is_current = async |(key, generation)| Ok(self.generation(key).await? == Some(generation));
        Ok(all(expected.map(is_current)).await?.into_iter().all(|is_current| is_current))
    }

    /// The generations of these keys, created if absent. They outlive a value that carries them and lives for
    /// `lifetime`, if creating it begins `now`, by this process's clock, and takes no longer than it may.
    pub(crate) async fn lasting_generations(
        &self,
        keys: impl Iterator<Item = StoreKey>,
        now: Time,
        lifetime: Duration,
    ) -> Result<Vec<Generation>, Error> {
        let least = lifetime.saturating_add(MARK_LIFETIME);
        all(keys.map(|key| self.lasting_generation(key, now, least))).await
    }

    async fn lasting_generation(&self, key: StoreKey, now: Time, least: Duration) -> Result<Generation, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(stored) = self.get(key).await? else {
                match self.create_generation(key, now, least, PutMode::Create).await? {
                    Some(generation) => return Ok(generation),
                    None => continue,
                }
            };
            match Generation::try_from(&*stored.value) {
                Ok(generation) => {
                    if self.lasts(key, stored.version, now + least)
                        || self.prolong(key, stored.version, now, least).await?
                    {
                        return Ok(generation);
                    }
                }
                // An invalid record is replaced, in the version that was read.
                Err(_) => {
                    let mode = PutMode::Replace(stored.version);
                    if let Some(generation) = self.create_generation(key, now, least, mode).await? {
                        return Ok(generation);
                    }
                }
            }
        }
        let message = format!("other processes replaced the generation of a namespace or a tag {MAX_ATTEMPTS} times");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Creates a random generation; `None` if another process was first.
    async fn create_generation(
        &self,
        key: StoreKey,
        now: Time,
        least: Duration,
        mode: PutMode,
    ) -> Result<Option<Generation>, Error> {
        let generation = random_generation()?;
        match self.put(key, Bytes::copy_from_slice(&generation), ample_lifetime(least), mode).await? {
            PutResult::Stored(version) => {
                self.remember(key, version, now + ample_lifetime(least));
                Ok(Some(generation))
            }
            PutResult::Conflict => Ok(None),
        }
    }

    /// Prolongs a generation; `false` if its version has changed.
    async fn prolong(&self, key: StoreKey, version: Version, now: Time, least: Duration) -> Result<bool, Error> {
        let is_there = self.store.touch(key, version, ample_lifetime(least)).await?;
        if is_there {
            self.remember(key, version, now + ample_lifetime(least));
        }
        Ok(is_there)
    }

    /// Whether this process has ensured that a generation is kept until then.
    fn lasts(&self, key: StoreKey, version: Version, until: Time) -> bool {
        self.prolonged().get(&key).is_some_and(|(known, least)| *known == version && *least >= until)
    }

    /// Remembers a deadline. If there are too many, all are dropped, and generations are prolonged more often than
    /// necessary.
    fn remember(&self, key: StoreKey, version: Version, least: Time) {
        let mut prolonged = self.prolonged();
        if prolonged.len() >= MAX_PROLONGED && !prolonged.contains_key(&key) {
            prolonged.clear();
        }
        prolonged.insert(key, (version, least));
    }

    fn prolonged(&self) -> MutexGuard<'_, HashMap<StoreKey, (Version, Time)>> {
        self.prolonged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lifetime that also covers the values of the next hour, and as long again as one lives.
fn ample_lifetime(least: Duration) -> Duration {
    least.saturating_mul(2).saturating_add(Duration::from_secs(3_600))
}

/// Waits for all results, even if one is an error. A half-open circuit refuses some of many operations; those that it
/// admits must not be cancelled, or the circuit would never close.
async fn all<T, F>(asked: impl Iterator<Item = F>) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    join_all(asked).await.into_iter().collect()
}

fn random_generation() -> Result<Generation, Error> {
    let mut generation = Generation::default();
    getrandom::fill(&mut generation).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").because(cause.to_string())
    })?;
    Ok(generation)
}
