//! The memory store: the example to copy, and the fastest store. Its sessions end with the process.

mod deadlines;
mod evictable;
mod shard;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use self::shard::{Shard, Slot};
use crate::clock::{Clock, SystemClock, Time};
use crate::error::{Error, ErrorKind};
use crate::key::{StoreKey, Tag};
use crate::non_exhaustive::NonExhaustive;
use crate::reply::Reply;
use crate::store::{Entry, Page, PutMode, PutResult, Store, Stored, SweepReport, Version, write_and_read_back};

/// A power of two, large enough that threads rarely contend.
const SHARDS: usize = 64;

/// How many expired values a writer removes from each shard of a full store before it gives up.
const MAX_RECLAIMED: usize = 64;

/// A store in the memory of this process.
///
/// It is bounded by entries and by bytes. A full store first removes expired values, then the values that were written
/// with [`Store::put_evictable`], oldest first: sessions that contain only a form token. After that it refuses new
/// values with [`ErrorKind::Full`]. It evicts no other live value, since that would end a user's session. An index by
/// deadline finds expired values, so that a sweep costs as much as has expired, however many values are live.
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

/// The bounds of a [`MemoryStore`].
///
/// ```
/// use std::sync::Arc;
/// use ampoule_core::{MemoryBounds, MemoryStore, SystemClock};
///
/// let bounds = MemoryBounds { entries: 10_000, ..MemoryBounds::default() };
/// let store = MemoryStore::new(bounds, Arc::new(SystemClock));
/// ```
///
/// End a literal with `..MemoryBounds::default()`: a later version may add bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// The most values. One million by default.
    pub entries: usize,
    /// The most bytes. Each value counts with 128 bytes of overhead, and with 384 more if it has a tag, such as a
    /// session with a principal, for the index of tags. 512 MiB by default.
    pub bytes: usize,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for MemoryBounds {
    fn default() -> MemoryBounds {
        MemoryBounds { entries: 1_000_000, bytes: 512 << 20, __non_exhaustive: NonExhaustive::NEW }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new(MemoryBounds::default(), Arc::new(SystemClock))
    }
}

/// Uses the ninth byte: the table inside the shard hashes by the first eight, and the last bytes need not be random.
fn shard_index(key: StoreKey) -> usize {
    usize::from(key.as_bytes()[8]) % SHARDS
}

impl MemoryStore {
    /// Creates an empty store with these bounds and this clock.
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

    /// Returns the number of values, including expired ones that were not swept yet.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Returns whether the store has no values.
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

    fn put_now(&self, key: StoreKey, entry: Entry, mode: PutMode, is_evictable: bool) -> Result<PutResult, Error> {
        let now = self.clock.now();
        let weight = shard::weight(entry.value.len(), entry.tag.is_some());
        loop {
            let mut shard = self.shard(key);
            if !allows(mode, shard.live(key, now)) {
                return Ok(PutResult::Conflict);
            }
            let version = Version(self.versions.fetch_add(1, Ordering::Relaxed));
            let deadline = now + entry.lifetime;
            if deadline <= now {
                self.remove(&mut shard, key);
                return Ok(PutResult::Stored(version));
            }
            if self.fits(&shard, key, weight) {
                self.insert(&mut shard, Slot::new(key, entry, deadline, version));
                if is_evictable {
                    shard.mark_evictable(key);
                }
                return Ok(PutResult::Stored(version));
            }
            drop(shard);
            if weight > self.bounds.bytes || !self.make_room(key, now) {
                return Err(self.full_error());
            }
        }
    }

    /// Returns whether there is room for a value in place of the one that its key has.
    fn fits(&self, shard: &Shard, key: StoreKey, weight: usize) -> bool {
        let old = shard.get(key).map(Slot::weight);
        let entries = self.entries.load(Ordering::Relaxed) + usize::from(old.is_none());
        let bytes = self.bytes.load(Ordering::Relaxed) + weight - old.unwrap_or(0);
        entries <= self.bounds.entries && bytes <= self.bounds.bytes
    }

    /// Makes room for a value under `key`: removes expired values; without any, the oldest evictable value of
    /// another key. Returns whether it removed any. The caller must hold no lock.
    fn make_room(&self, key: StoreKey, now: Time) -> bool {
        self.shards.iter().any(|shard| self.reclaim(&mut lock(shard), now)) || self.evict(key)
    }

    fn reclaim(&self, shard: &mut Shard, now: Time) -> bool {
        let removed = shard.expire(now, MAX_RECLAIMED).removed;
        removed.iter().for_each(|slot| self.forget(slot));
        !removed.is_empty()
    }

    fn evict(&self, except: StoreKey) -> bool {
        let first = |shard: &Mutex<Shard>| lock(shard).first_evictable(except);
        let oldest = self.shards.iter().filter_map(|shard| Some((first(shard)?.0, shard))).min_by_key(|(at, _)| *at);
        let Some((_, shard)) = oldest else { return false };
        let mut shard = lock(shard);
        if let Some(slot) = shard.evict(except) {
            self.forget(&slot);
        }
        // If another writer has removed it meanwhile, there is room as well.
        true
    }

    fn full_error(&self) -> Error {
        let MemoryBounds { entries, bytes, .. } = self.bounds;
        Error::new(ErrorKind::Full, format!("the memory store is full: it may hold {entries} values in {bytes} bytes"))
    }

    fn insert(&self, shard: &mut Shard, slot: Slot) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(slot.weight(), Ordering::Relaxed);
        let (key, tag) = (slot.key, slot.tag());
        // Tags are indexed before the old slot is removed: a list made meanwhile must not miss a key that lives on.
        if let Some(tag) = tag {
            lock(&self.tags).entry(tag).or_default().insert(key);
        }
        if let Some(old) = shard.insert(slot) {
            self.uncount(&old);
            if old.tag() != tag {
                self.untag(&old);
            }
        }
    }

    /// Removes a slot that has left its shard from the counts and the tags.
    fn forget(&self, slot: &Slot) {
        self.uncount(slot);
        self.untag(slot);
    }

    fn uncount(&self, slot: &Slot) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(slot.weight(), Ordering::Relaxed);
    }

    fn untag(&self, slot: &Slot) {
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

    fn keys_with_tag_now(&self, tag: Tag) -> Vec<StoreKey> {
        let keys: Vec<_> = lock(&self.tags).get(&tag).into_iter().flatten().copied().collect();
        let now = self.clock.now();
        keys.into_iter()
            .filter(|&key| self.shard(key).live(key, now).is_some_and(|slot| slot.tag() == Some(tag)))
            .collect()
    }

    /// A cursor consists of a shard and a slot in it. A key keeps its slot as long as it lives.
    fn scan_now(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let (mut index, mut slot) = match cursor {
            None => (0, 0),
            Some(cursor) => parse_cursor(cursor).ok_or_else(|| Page::unknown(cursor))?,
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

    /// Each call continues after the shard at which the last one used up its budget, so that every shard gets its turn.
    fn sweep_now(&self, budget: usize) -> SweepReport {
        let now = self.clock.now();
        let start = self.next_swept.load(Ordering::Relaxed);
        let (mut left, mut swept, mut overdue) = (budget, SweepReport::default(), false);
        for index in start..start + SHARDS {
            // The shard stays locked until the tags are updated: another writer may put such a key again.
            let mut shard = lock(&self.shards[index % SHARDS]);
            let expired = shard.expire(now, left);
            expired.removed.iter().for_each(|slot| self.forget(slot));
            drop(shard);
            swept.removed += expired.removed.len() as u64;
            swept.more |= expired.more;
            overdue |= expired.overdue;
            if expired.examined > 0 {
                self.next_swept.store((index + 1) % SHARDS, Ordering::Relaxed);
            }
            left -= expired.examined;
        }
        // The values of the current bucket may all be live: a caller that continued while there is more would loop.
        swept.more &= overdue || swept.removed > 0;
        swept
    }
}

impl Store for MemoryStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::ready(Ok(self.get_now(key)))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::ready(self.put_now(key, entry, mode, false))
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::ready(self.put_now(key, entry, mode, true))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::ready(Ok(self.shard(key).touch(key, version, lifetime, self.clock.now())))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::ready(Ok(self.delete_now(key)))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::ready(Ok(self.keys_with_tag_now(tag)))
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

/// Returns whether a put in this mode may replace what it finds.
fn allows(mode: PutMode, found: Option<&Slot>) -> bool {
    match mode {
        PutMode::Create => found.is_none(),
        PutMode::Replace(version) => found.is_some_and(|slot| slot.version == version),
        PutMode::Always => true,
    }
}

/// Parses a cursor.
fn parse_cursor(cursor: &str) -> Option<(usize, usize)> {
    let (shard, slot) = cursor.split_once('.')?;
    Some((shard.parse().ok().filter(|shard| *shard < SHARDS)?, slot.parse().ok()?))
}

/// A shard is consistent between any two statements that could panic, so a poisoned lock can be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SessionId;

    /// The key of a session has 16 random bytes and 16 that are the same for all sessions; other keys are digests, or
    /// have a common end too.
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
