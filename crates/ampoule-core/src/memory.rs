//! The memory store: the example to copy, and the fastest one. Its sessions end with the process.

mod deadlines;
mod shard;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use self::shard::{Shard, Slot};
use crate::clock::{Clock, SystemClock, Time};
use crate::error::{Error, ErrorKind};
use crate::key::{StoreKey, Tag};
use crate::reply::Reply;
use crate::store::{Entry, Page, PutMode, PutResult, Store, Stored, SweepReport, Version, write_and_read_back};

/// A power of two, large enough that threads seldom meet.
const SHARDS: usize = 64;

/// What a value costs besides its own bytes: slot, table and index, measured.
const OVERHEAD: usize = 128;

/// How many expired values of each shard a writer frees that finds the store full, before it gives up.
const RECLAIM: usize = 64;

/// Sessions in the memory of this process.
///
/// Bounded by entries and by bytes; when full it refuses new values with [`ErrorKind::Full`] and never evicts a live
/// one, since that would log somebody out. Expired values are found by an index on the deadline, so that a sweep costs
/// what has expired, not what lives (promise P9).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use ampoule_core::{Bytes, Entry, MemoryStore, PutMode, PutResult, Store, StoreKey};
///
/// let store = MemoryStore::default();
/// let entry = Entry { value: Bytes::from("hello"), lifetime: Duration::MAX, tag: None };
/// let PutResult::Stored(version) = store.put(StoreKey::digest(b"greeting"), entry.clone(), PutMode::Create).await? else {
///     panic!("the key was free");
/// };
/// assert_eq!(store.put(StoreKey::digest(b"greeting"), entry, PutMode::Create).await?, PutResult::Conflict);
/// assert_eq!(store.get(StoreKey::digest(b"greeting")).await?.map(|stored| stored.version), Some(version));
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    bounds: MemoryBounds,
    shards: Box<[Mutex<Shard>]>,
    tags: Mutex<HashMap<Tag, HashSet<StoreKey>>>,
    versions: AtomicU64,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    next_swept: AtomicUsize,
}

/// How much a [`MemoryStore`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Values at most. One million by default.
    pub entries: usize,
    /// Bytes at most, each value counted with 128 bytes of overhead. 512 MiB by default.
    pub bytes: usize,
}

impl Default for MemoryBounds {
    fn default() -> MemoryBounds {
        MemoryBounds { entries: 1_000_000, bytes: 512 << 20 }
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new(MemoryBounds::default(), Arc::new(SystemClock))
    }
}

/// By the ninth byte: the table inside the shard hashes by the first eight, and the last ones need not be random.
fn shard_index(key: StoreKey) -> usize {
    usize::from(key.as_bytes()[8]) % SHARDS
}

impl MemoryStore {
    /// An empty store with these bounds and this clock.
    pub fn new(bounds: MemoryBounds, clock: Arc<dyn Clock>) -> MemoryStore {
        MemoryStore {
            clock,
            bounds,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            tags: Mutex::default(),
            versions: AtomicU64::new(1),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            next_swept: AtomicUsize::new(0),
        }
    }

    /// How many values are held, expired ones that were not yet swept among them.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_index(key)])
    }

    fn get_now(&self, key: StoreKey) -> Option<Stored> {
        let now = self.clock.now();
        let shard = self.shard(key);
        let slot = shard.live(key, now)?;
        Some(Stored { value: Bytes::copy_from_slice(&slot.value), version: slot.version, deadline: slot.deadline })
    }

    fn put_now(&self, key: StoreKey, entry: Entry, when: PutMode) -> Result<PutResult, Error> {
        let now = self.clock.now();
        let mut shard = self.shard(key);
        let found = shard.live(key, now).map(|slot| slot.version);
        let holds = match when {
            PutMode::Create => found.is_none(),
            PutMode::Replace(version) => found == Some(version),
            PutMode::Always => true,
        };
        if !holds {
            return Ok(PutResult::Conflict);
        }
        let version = Version(self.versions.fetch_add(1, Ordering::Relaxed));
        let deadline = now + entry.lifetime;
        if deadline <= now {
            self.remove(&mut shard, key);
            return Ok(PutResult::Stored(version));
        }
        self.make_room(&mut shard, key, entry.value.len(), now)?;
        self.insert(&mut shard, key, entry, deadline, version);
        Ok(PutResult::Stored(version))
    }

    /// Refuses a value that does not fit, after it has tried to free expired ones.
    fn make_room(&self, shard: &mut Shard, key: StoreKey, size: usize, now: Time) -> Result<(), Error> {
        let fits = |shard: &Shard| {
            let old = shard.size_of(key);
            let entries = self.entries.load(Ordering::Relaxed) + usize::from(old.is_none());
            let bytes = self.bytes.load(Ordering::Relaxed) + size + OVERHEAD - old.map_or(0, |old| old + OVERHEAD);
            entries <= self.bounds.entries && bytes <= self.bounds.bytes
        };
        if fits(shard) {
            return Ok(());
        }
        self.reclaim(shard, now);
        // This shard is passed over, since it is locked; so are those that are in use, or two writers could wait for
        // each other.
        for other in &self.shards {
            if fits(shard) {
                return Ok(());
            }
            if let Ok(mut other) = other.try_lock() {
                self.reclaim(&mut other, now);
            }
        }
        if fits(shard) {
            return Ok(());
        }
        let MemoryBounds { entries, bytes } = self.bounds;
        let message = format!("the memory store is full: it may hold {entries} sessions in {bytes} bytes");
        Err(Error::new(ErrorKind::Full, message))
    }

    fn reclaim(&self, shard: &mut Shard, now: Time) {
        for slot in shard.expire(now, RECLAIM).removed {
            self.forget(&slot);
        }
    }

    fn insert(&self, shard: &mut Shard, key: StoreKey, entry: Entry, deadline: Time, version: Version) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(entry.value.len() + OVERHEAD, Ordering::Relaxed);
        let tag = entry.tag;
        let slot = Slot::new(key, entry, deadline, version);
        if let Some(old) = shard.insert(slot) {
            self.forget(&old);
        }
        if let Some(tag) = tag {
            lock(&self.tags).entry(tag).or_default().insert(key);
        }
    }

    /// Takes a slot that has left its shard out of the counts and the tags.
    fn forget(&self, slot: &Slot) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(slot.value.len() + OVERHEAD, Ordering::Relaxed);
        let Some(tag) = slot.tag() else { return };
        let mut tags = lock(&self.tags);
        if let Some(keys) = tags.get_mut(&tag) {
            keys.remove(&slot.key);
            if keys.is_empty() {
                tags.remove(&tag);
            }
        }
    }

    fn delete_now(&self, key: StoreKey) -> bool {
        let now = self.clock.now();
        let mut shard = self.shard(key);
        let live = shard.live(key, now).is_some();
        self.remove(&mut shard, key);
        live
    }

    fn remove(&self, shard: &mut Shard, key: StoreKey) {
        if let Some(slot) = shard.remove(key) {
            self.forget(&slot);
        }
    }

    fn tagged_now(&self, tag: Tag) -> Vec<StoreKey> {
        let keys: Vec<_> = lock(&self.tags).get(&tag).into_iter().flatten().copied().collect();
        let now = self.clock.now();
        keys.into_iter()
            .filter(|&key| self.shard(key).live(key, now).is_some_and(|slot| slot.tag() == Some(tag)))
            .collect()
    }

    /// A cursor is a shard and a slot in it, which a key keeps as long as it lives.
    fn scan_now(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let (mut index, mut slot) = match cursor {
            None => (0, 0),
            Some(cursor) => place_of(cursor).ok_or_else(|| Page::unknown(cursor))?,
        };
        let now = self.clock.now();
        let mut keys = Vec::new();
        while index < SHARDS {
            if let Some(next) = lock(&self.shards[index]).scan(slot, budget.max(1), now, &mut keys) {
                return Ok(Page { keys, next: Some(format!("{index}.{next}")) });
            }
            (index, slot) = (index + 1, 0);
        }
        Ok(Page { keys, next: None })
    }

    /// Each call goes on at the shard where the last one stopped, so that no shard waits for another's expiry.
    fn sweep_now(&self, budget: usize) -> SweepReport {
        let now = self.clock.now();
        let mut left = budget;
        let mut swept = SweepReport::default();
        for _ in 0..SHARDS {
            let index = self.next_swept.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let mut shard = lock(&self.shards[index]);
            let expired = shard.expire(now, left);
            for slot in &expired.removed {
                self.forget(slot);
            }
            swept.removed += expired.removed.len() as u64;
            swept.more |= expired.more;
            left = left.saturating_sub(expired.looked_at);
        }
        swept
    }
}

impl Store for MemoryStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::ready(Ok(self.get_now(key)))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: PutMode) -> Reply<'_, PutResult> {
        Reply::ready(self.put_now(key, entry, when))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::ready(Ok(self.shard(key).touch(key, version, lifetime, self.clock.now())))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::ready(Ok(self.delete_now(key)))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::ready(Ok(self.tagged_now(tag)))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::ready(self.scan_now(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        Reply::ready(Ok(self.sweep_now(budget)))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            Ok(self.clock.now())
        })
    }

    fn describe(&self) -> String {
        "memory (lost at restart)".to_owned()
    }
}

/// Reads a cursor.
fn place_of(cursor: &str) -> Option<(usize, usize)> {
    let (shard, slot) = cursor.split_once('.')?;
    Some((shard.parse().ok().filter(|shard| *shard < SHARDS)?, slot.parse().ok()?))
}

/// A shard is consistent between any two statements that could panic, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SessionId;

    /// A session's key is 16 random bytes and 16 that are the same in all of them; other keys are digests, or end alike too.
    #[test]
    fn keys_of_every_kind_are_spread_over_all_shards() {
        let digest = |number: u32| *StoreKey::digest(&number.to_be_bytes()).as_bytes();
        let session = |number| StoreKey::from(SessionId::new(*digest(number).first_chunk().unwrap()));
        let ends_alike = |number| {
            let mut bytes = digest(number);
            bytes[28..].copy_from_slice(b"same");
            StoreKey::new(bytes)
        };
        let kinds: [&dyn Fn(u32) -> StoreKey; 3] = [&session, &ends_alike, &|number| StoreKey::new(digest(number))];
        for key in kinds {
            let mut found = [0_u32; SHARDS];
            (0..6_400).for_each(|number| found[shard_index(key(number))] += 1);
            assert!(found.iter().all(|number| (50..150).contains(number)), "{found:?}");
        }
    }
}
