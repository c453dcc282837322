//! The tier in memory: decoded values, of which moka forgets the least used when there are too many.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{MemoryBounds, StoreKey, Time};
use moka::Equivalent;

/// What an entry takes besides its key, its tags and its value, measured: moka's entry with its two lists and its table,
/// what must be known of the value, and the allocations.
const OVERHEAD: usize = 360;

/// What a value of any type is in memory.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// A cached value with what must be known of it. What a hit needs lies here, in moka's own entry, and only the value
/// elsewhere.
#[derive(Clone)]
pub(crate) struct Cached<V = AnyValue> {
    pub(crate) about: About,
    pub(crate) value: V,
}

/// What must be known of a cached value.
#[derive(Clone)]
pub(crate) struct About {
    /// From then on it is stale.
    pub(crate) expires: Time,
    /// When creating it, or asking the store for it, began, as the process counts invalidations.
    pub(crate) began: u64,
    /// The same by the clock.
    pub(crate) asked: Time,
    /// How long creating it took.
    pub(crate) took: Duration,
    pub(crate) created: Time,
    /// From then on memory need not hold it.
    pub(crate) until: Time,
    /// The tags that it can be invalidated by; usually empty.
    pub(crate) tags: Option<Arc<[StoreKey]>>,
    /// The bytes of the value, as it is encoded.
    pub(crate) size: usize,
}

impl About {
    pub(crate) fn tags(&self) -> &[StoreKey] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// Tags as they are kept.
pub(crate) fn tags(tags: impl ExactSizeIterator<Item = StoreKey>) -> Option<Arc<[StoreKey]>> {
    (tags.len() > 0).then(|| tags.collect())
}

impl Cached {
    /// The same, if the value is of this type.
    pub(crate) fn downcast<T: Send + Sync + 'static>(self) -> Option<Cached<Arc<T>>> {
        let value = self.value.downcast().ok()?;
        Some(Cached { about: self.about, value })
    }

    /// What it takes of memory beside its key, about: the bytes of the value stand for what it holds elsewhere.
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

/// What a value is found by in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryKey {
    values: u128,
    key: Box<[u8]>,
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct MemoryKeyRef<'a> {
    /// Which namespace and type, by the beginning of a digest; 0 where the key alone says all.
    pub(crate) values: u128,
    pub(crate) key: &'a [u8],
}

impl<'a> MemoryKeyRef<'a> {
    /// Where a value of a store is: its key there is one of all.
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
        // A part of the digest spreads as well as all of it; equality looks at all.
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
        // Every entry weighs so much at least that no more of them fit than are allowed.
        let least = bounds.bytes.div_ceil(bounds.entries.max(1));
        let weigh = move |key: &MemoryKey, cached: &Cached| {
            u32::try_from(cached.weight().saturating_add(key.key.len()).max(least)).unwrap_or(u32::MAX)
        };
        // moka could tell by itself what has expired, at a sixth of the price of every hit; see `sweep`.
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

    /// Frees what has expired and was not asked for since. It looks at all values, which are no more than memory may hold.
    pub(crate) fn sweep(&self, now: Time) -> u64 {
        let mut removed = 0;
        for (key, cached) in &self.0 {
            if now >= cached.about.until {
                self.0.invalidate(&*key);
                removed += 1;
            }
        }
        removed
    }
}
