//! The tier in memory: decoded values, in a moka cache that evicts the least used.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{MemoryBounds, StoreKey, Time};
use moka::Equivalent;

/// The measured size of an entry without its key, tags and value: moka's entry with its two lists and its table, the
/// metadata, and the allocations.
const OVERHEAD: usize = 360;

/// A value of any type in memory.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// A cached value and its metadata. A hit needs only moka's own entry and the value.
#[derive(Clone)]
pub(crate) struct Cached<V = AnyValue> {
    pub(crate) about: Metadata,
    pub(crate) value: V,
}

/// The metadata of a cached value.
#[derive(Clone)]
pub(crate) struct Metadata {
    /// When it becomes stale.
    pub(crate) expires: Time,
    /// The number of invalidations when its creation, or its read from the store, began.
    pub(crate) began: u64,
    /// The time at which it began.
    pub(crate) asked: Time,
    /// How long creating it took.
    pub(crate) took: Duration,
    pub(crate) created: Time,
    /// When memory may drop it.
    pub(crate) memory_until: Time,
    /// The digests of its tags; usually empty.
    pub(crate) tags: Option<Arc<[StoreKey]>>,
    /// The size of the encoded value, in bytes.
    pub(crate) size: usize,
}

impl Metadata {
    pub(crate) fn tags(&self) -> &[StoreKey] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// Converts tags to the form that is kept.
pub(crate) fn tags(tags: impl ExactSizeIterator<Item = StoreKey>) -> Option<Arc<[StoreKey]>> {
    (tags.len() > 0).then(|| tags.collect())
}

impl Cached {
    /// Converts it, if the value is of this type.
    pub(crate) fn downcast<T: Send + Sync + 'static>(self) -> Option<Cached<Arc<T>>> {
        let value = self.value.downcast().ok()?;
        Some(Cached { about: self.about, value })
    }

    /// The approximate size without the key: the encoded size stands for that of the value's allocations.
    fn weight(&self) -> usize {
        let tags = size_of_val(self.about.tags());
        OVERHEAD.saturating_add(self.about.size).saturating_add(tags).saturating_add(size_of_val(&*self.value))
    }
}

impl<T: Send + Sync + 'static> Cached<Arc<T>> {
    pub(crate) fn erase(&self) -> Cached {
        Cached { about: self.about.clone(), value: Arc::<T>::clone(&self.value) }
    }
}

/// The key of a value in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryKey {
    values: u128,
    key: Box<[u8]>,
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct MemoryKeyRef<'a> {
    /// The start of a digest of namespace and type; 0 if the key alone identifies the value.
    pub(crate) values: u128,
    pub(crate) key: &'a [u8],
}

impl<'a> MemoryKeyRef<'a> {
    /// The key of a value in a store, where keys are unique.
    pub(crate) fn of(entry: &'a StoreKey) -> MemoryKeyRef<'a> {
        MemoryKeyRef { values: 0, key: entry.as_bytes() }
    }

    pub(crate) fn to_owned(self) -> MemoryKey {
        MemoryKey { values: self.values, key: self.key.into() }
    }
}

impl MemoryKey {
    pub(crate) fn borrow(&self) -> MemoryKeyRef<'_> {
        MemoryKeyRef { values: self.values, key: &self.key }
    }
}

impl Hash for MemoryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Hash for MemoryKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A part of the digest is enough for hashing; equality compares all of it.
        state.write_u32(self.values as u32);
        state.write(self.key);
    }
}

impl Equivalent<MemoryKey> for MemoryKeyRef<'_> {
    fn equivalent(&self, key: &MemoryKey) -> bool {
        self.values == key.values && *self.key == *key.key
    }
}

pub(crate) struct Memory(moka::sync::Cache<MemoryKey, Cached>);

impl Memory {
    pub(crate) fn new(bounds: MemoryBounds) -> Memory {
        // Every entry has a minimal weight, by which no more entries fit than are allowed.
        let least = bounds.bytes.div_ceil(bounds.entries.max(1));
        let weigh = move |key: &MemoryKey, cached: &Cached| {
            u32::try_from(cached.weight().saturating_add(key.key.len()).max(least)).unwrap_or(u32::MAX)
        };
        // moka could expire values by itself, which would make every hit a sixth slower; see `sweep`.
        Memory(moka::sync::Cache::builder().max_capacity(bounds.bytes as u64).weigher(weigh).build())
    }

    pub(crate) fn get(&self, key: MemoryKeyRef<'_>) -> Option<Cached> {
        self.0.get(&key)
    }

    pub(crate) fn insert(&self, key: MemoryKey, cached: Cached) {
        self.0.insert(key, cached);
    }

    pub(crate) fn remove(&self, key: MemoryKeyRef<'_>) {
        self.0.invalidate(&key);
    }

    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Removes expired values that no lookup has removed. It visits all values, whose number is bounded.
    pub(crate) fn sweep(&self, now: Time) -> u64 {
        let mut removed = 0;
        for (key, cached) in &self.0 {
            if now >= cached.about.memory_until {
                self.0.invalidate(&*key);
                removed += 1;
            }
        }
        removed
    }
}
