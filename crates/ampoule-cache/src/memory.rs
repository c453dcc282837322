//! The tier in memory: decoded values, of which moka forgets the least used when there are too many.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{MemoryBounds, StoreKey, Time};
use moka::Equivalent;

/// What an entry takes besides its key and its value, about.
const OVERHEAD: u32 = 200;

/// A value with what must be known of it. What a hit needs lies here, in moka's own entry, and only the value elsewhere.
#[derive(Clone)]
pub(crate) struct Kept {
    /// From then on it is stale.
    pub(crate) expires: Time,
    /// When creating it, or asking the store for it, began, as the process counts clearings.
    pub(crate) began: u64,
    /// The same by the clock.
    pub(crate) asked: Time,
    /// How long creating it took.
    pub(crate) took: Duration,
    pub(crate) created: Time,
    /// From then on memory need not hold it.
    pub(crate) until: Time,
    /// What it can be cleared by.
    pub(crate) tags: Option<Arc<[StoreKey]>>,
    pub(crate) size: u32,
    pub(crate) value: Arc<dyn Any + Send + Sync>,
}

impl Kept {
    /// The value, if it is of this type.
    pub(crate) fn value<T: Clone + 'static>(&self) -> Option<T> {
        self.value.downcast_ref::<T>().cloned()
    }

    pub(crate) fn tags(&self) -> &[StoreKey] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// Tags as they are kept: mostly there are none.
pub(crate) fn tags(tags: impl ExactSizeIterator<Item = StoreKey>) -> Option<Arc<[StoreKey]>> {
    (tags.len() > 0).then(|| tags.collect())
}

/// What a value is found by in memory: a number for the namespace and type, and the key; or the digest that the store
/// knows it by, where there is a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryKey {
    space: u32,
    key: Box<[u8]>,
}

/// The same, borrowed.
pub(crate) struct LookUp<'a> {
    pub(crate) space: u32,
    pub(crate) key: &'a [u8],
}

impl MemoryKey {
    pub(crate) fn new(space: u32, key: &[u8]) -> MemoryKey {
        MemoryKey { space, key: key.into() }
    }

    pub(crate) fn look_up(&self) -> LookUp<'_> {
        LookUp { space: self.space, key: &self.key }
    }
}

impl Hash for MemoryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        LookUp { space: self.space, key: &self.key }.hash(state);
    }
}

impl Hash for LookUp<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.space);
        state.write(self.key);
    }
}

impl Equivalent<MemoryKey> for LookUp<'_> {
    fn equivalent(&self, key: &MemoryKey) -> bool {
        self.space == key.space && *self.key == *key.key
    }
}

pub(crate) struct Memory(moka::sync::Cache<MemoryKey, Kept>);

impl Memory {
    pub(crate) fn new(bounds: MemoryBounds) -> Memory {
        // Every entry weighs so much at least that no more of them fit than are allowed.
        let least = u32::try_from(bounds.bytes.div_ceil(bounds.entries.max(1))).unwrap_or(u32::MAX);
        let weigh = move |key: &MemoryKey, kept: &Kept| {
            let size = OVERHEAD.saturating_add(kept.size).saturating_add(key.key.len() as u32);
            size.max(least)
        };
        // moka could tell by itself what has expired, at a sixth of the price of every hit; see `sweep`.
        Memory(moka::sync::Cache::builder().max_capacity(bounds.bytes as u64).weigher(weigh).build())
    }

    pub(crate) fn get(&self, key: &LookUp<'_>) -> Option<Kept> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: MemoryKey, kept: Kept) {
        self.0.insert(key, kept);
    }

    pub(crate) fn remove(&self, key: &MemoryKey) {
        self.0.invalidate(key);
    }

    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Frees what has expired and nobody asked for since. It looks at all values, which are no more than memory may hold.
    pub(crate) fn sweep(&self, now: Time) -> u64 {
        let mut removed = 0;
        for (key, kept) in &self.0 {
            if now >= kept.until {
                self.0.invalidate(&*key);
                removed += 1;
            }
        }
        removed
    }
}
