//! One shard: slots in a slab, found by key through a hash table and by deadline through an index.

use std::time::Duration;

use hashbrown::HashTable;

use super::deadlines::Deadlines;
use super::evictable::Evictable;
use crate::clock::Time;
use crate::key::{StoreKey, Tag};
use crate::store::{Entry, Version};

/// One value. Only the slot has the key: the table and the index contain slot numbers, which keeps a small session
/// under 260 bytes in all.
pub(super) struct Slot {
    pub(super) key: StoreKey,
    pub(super) value: Box<[u8]>,
    pub(super) version: Version,
    pub(super) deadline: Time,
    /// Boxed, since most values have none.
    tag: Option<Box<Tag>>,
    /// The bucket of the deadline index that contains this slot's entry.
    bucket: u32,
}

/// The overhead of a value in bytes, measured: slot, table and indexes.
const VALUE_OVERHEAD: usize = 128;

/// The overhead of a tag in bytes: in the slot, and in the index from tags to keys, measured with a tag for each value.
const TAG_OVERHEAD: usize = 384;

/// Returns what a value counts towards the bounds of the store, in bytes.
pub(super) fn weight(size: usize, has_tag: bool) -> usize {
    size + VALUE_OVERHEAD + if has_tag { TAG_OVERHEAD } else { 0 }
}

impl Slot {
    pub(super) fn new(key: StoreKey, entry: Entry, deadline: Time, version: Version) -> Slot {
        let Entry { value, tag, .. } = entry;
        let bucket = Deadlines::bucket(deadline);
        // This copies nothing if the bytes are not shared.
        let value = Vec::from(value).into_boxed_slice();
        Slot { key, value, version, deadline, tag: tag.map(Box::new), bucket }
    }

    pub(super) fn tag(&self) -> Option<Tag> {
        self.tag.as_deref().copied()
    }

    /// Returns what the slot counts towards the bounds of the store, in bytes.
    pub(super) fn weight(&self) -> usize {
        weight(self.value.len(), self.tag.is_some())
    }
}

#[derive(Default)]
pub(super) struct Shard {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    table: HashTable<u32>,
    deadlines: Deadlines,
    evictable: Evictable,
}

/// What [`Shard::expire`] did.
pub(super) struct Expired {
    pub(super) removed: Vec<Slot>,
    pub(super) examined: usize,
    /// Whether the budget was used up before all entries that may have expired.
    pub(super) more: bool,
    /// Whether the next of these entries is in a bucket that has ended.
    pub(super) overdue: bool,
}

/// The first eight bytes of a key are random, or of a digest, so they serve as its hash, and a client cannot choose
/// them.
fn hash(key: &StoreKey) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn has_version(slots: &[Option<Slot>], number: u32, version: Version) -> bool {
    slots.get(number as usize).and_then(Option::as_ref).is_some_and(|slot| slot.version == version)
}

impl Shard {
    fn number(&self, key: StoreKey) -> Option<u32> {
        self.table.find(hash(&key), |&slot| self.slot(slot).is_some_and(|slot| slot.key == key)).copied()
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)?.as_ref()
    }

    /// Returns the slot of this key, unless its deadline has passed.
    pub(super) fn live(&self, key: StoreKey, now: Time) -> Option<&Slot> {
        self.get(key).filter(|slot| slot.deadline > now)
    }

    /// Returns the slot of this key, expired or not.
    pub(super) fn get(&self, key: StoreKey) -> Option<&Slot> {
        self.number(key).and_then(|number| self.slot(number))
    }

    /// Inserts a slot, and returns the one that had its key.
    pub(super) fn insert(&mut self, mut slot: Slot) -> Option<Slot> {
        let Some(number) = self.number(slot.key) else {
            self.insert_new(slot);
            return None;
        };
        let place = self.slots.get_mut(number as usize)?;
        if let Some(old) = place {
            if old.bucket <= slot.bucket {
                slot.bucket = old.bucket;
            } else {
                self.deadlines.add(slot.bucket, number);
            }
        }
        let old = place.replace(slot);
        self.rebuild_index_if_stale();
        old
    }

    /// Allows [`Shard::evict`] to remove the slot of a key, as it is now.
    pub(super) fn mark_evictable(&mut self, key: StoreKey) {
        let Some((number, version)) = self.number(key).and_then(|number| Some((number, self.slot(number)?.version)))
        else {
            return;
        };
        self.evictable.add(number, version);
        let slots = &self.slots;
        self.evictable.compact(self.table.len(), |number, version| has_version(slots, number, version));
    }

    /// Returns the version of the oldest evictable slot, except that of `except`.
    pub(super) fn first_evictable(&mut self, except: StoreKey) -> Option<Version> {
        self.next_evictable(except).map(|(_, version)| version)
    }

    /// Removes that slot.
    pub(super) fn evict(&mut self, except: StoreKey) -> Option<Slot> {
        let (number, _) = self.next_evictable(except)?;
        let slot = self.take(number);
        self.rebuild_index_if_stale();
        slot
    }

    fn next_evictable(&mut self, except: StoreKey) -> Option<(u32, Version)> {
        let slots = &self.slots;
        let is_excepted = |number: u32| slots[number as usize].as_ref().is_some_and(|slot| slot.key == except);
        self.evictable.first(|number, version| has_version(slots, number, version), is_excepted)
    }

    fn insert_new(&mut self, slot: Slot) {
        let (key, bucket) = (slot.key, slot.bucket);
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = Some(slot);
                number
            }
            None => {
                self.slots.push(Some(slot));
                // 2^32 slots of 80 bytes would be 320 GiB in one of 64 shards.
                u32::try_from(self.slots.len() - 1).expect("a shard holds fewer than 2^32 slots")
            }
        };
        self.deadlines.add(bucket, number);
        let slots = &self.slots;
        self.table.insert_unique(hash(&key), number, |&number| {
            slots[number as usize].as_ref().map_or(0, |slot| hash(&slot.key))
        });
    }

    pub(super) fn remove(&mut self, key: StoreKey) -> Option<Slot> {
        let number = self.number(key)?;
        let slot = self.take(number);
        self.rebuild_index_if_stale();
        slot
    }

    fn take(&mut self, number: u32) -> Option<Slot> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        if let Ok(entry) = self.table.find_entry(hash(&slot.key), |&other| other == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(slot)
    }

    pub(super) fn touch(&mut self, key: StoreKey, version: Version, lifetime: Duration, now: Time) -> bool {
        let slot = self.number(key).and_then(|number| self.slots.get_mut(number as usize)?.as_mut());
        let Some(slot) = slot else { return false };
        if slot.deadline <= now || slot.version != version {
            return false;
        }
        // The deadline only moves later, so the entry in the index is early enough.
        slot.deadline = slot.deadline.max(now + lifetime);
        true
    }

    /// Removes expired slots, and examines at most `budget` entries of the index.
    pub(super) fn expire(&mut self, now: Time, budget: usize) -> Expired {
        let mut expired = Expired { removed: Vec::new(), examined: 0, more: false, overdue: false };
        // Live slots of the current bucket go back into it after the loop, which would not end otherwise.
        let mut kept = Vec::new();
        while let Some(due) = self.deadlines.due(now) {
            if expired.examined == budget {
                expired.more = true;
                expired.overdue = due < Deadlines::bucket(now);
                break;
            }
            let Some((bucket, number)) = self.deadlines.pop(now) else { break };
            expired.examined += 1;
            let Some(Some(slot)) = self.slots.get_mut(number as usize) else { continue };
            if slot.bucket != bucket {
                continue;
            }
            if slot.deadline <= now {
                expired.removed.extend(self.take(number));
            } else {
                slot.bucket = Deadlines::bucket(slot.deadline);
                kept.push((slot.bucket, number));
            }
        }
        for (bucket, number) in kept {
            self.deadlines.add(bucket, number);
        }
        expired
    }

    /// Adds live keys until there are `many`, and then returns the slot to continue at.
    pub(super) fn scan(&self, from: usize, many: usize, now: Time, keys: &mut Vec<StoreKey>) -> Option<usize> {
        for (number, slot) in self.slots.iter().enumerate().skip(from) {
            if keys.len() >= many {
                return Some(number);
            }
            keys.extend(slot.as_ref().filter(|slot| slot.deadline > now).map(|slot| slot.key));
        }
        None
    }

    fn rebuild_index_if_stale(&mut self) {
        if !self.deadlines.is_mostly_stale(self.table.len()) {
            return;
        }
        self.deadlines = Deadlines::default();
        for (number, slot) in (0_u32..).zip(&mut self.slots) {
            if let Some(slot) = slot {
                slot.bucket = Deadlines::bucket(slot.deadline);
                self.deadlines.add(slot.bucket, number);
            }
        }
    }
}
