//! The values of one namespace and one type, as one region keeps them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ampoule_core::{Bytes, Error, StoreKey, Time, codec};
use serde::Serialize;

use crate::ask::Ask;
use crate::backend::Inner;
use crate::format::{Generation, Header, Record};
use crate::key;
use crate::memory::{Kept, LookUp, MemoryKey};
use crate::options::CacheOptions;
use crate::stats::{self, Counters};

/// Beyond so many times the time that creating takes, the chance of an early refresh is one in a million.
const EARLIEST: f64 = 14.0;

pub(crate) struct Space {
    pub(crate) namespace: String,
    pub(crate) namespace_key: StoreKey,
    pub(crate) backend: Arc<Inner>,
    pub(crate) options: CacheOptions,
    pub(crate) counters: Arc<Counters>,
    shape: [u8; 32],
    id: u32,
    cleared_at: Arc<AtomicU64>,
    complained: AtomicBool,
    versions: Mutex<Vec<(u32, Arc<Space>)>>,
}

impl Space {
    pub(crate) fn new(
        namespace: &str,
        shape: [u8; 32],
        backend: Arc<Inner>,
        options: CacheOptions,
        counters: Arc<Counters>,
    ) -> Space {
        let namespace = key::stored(namespace).into_owned();
        let namespace_key = key::namespace(&namespace);
        let (id, cleared_at) = (backend.space(namespace_key, shape), backend.cleared_at(namespace_key));
        let (complained, versions) = Default::default();
        Space { namespace, namespace_key, backend, options, counters, shape, id, cleared_at, complained, versions }
    }

    /// The same values in a version of their own, found again by every request.
    pub(crate) fn of_version(&self, version: u32, shape: impl FnOnce() -> [u8; 32]) -> Arc<Space> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, space)) = versions.iter().find(|(known, _)| *known == version) {
            return Arc::clone(space);
        }
        let (backend, counters) = (Arc::clone(&self.backend), Arc::clone(&self.counters));
        let space = Arc::new(Space::new(&self.namespace, shape(), backend, self.options.clone(), counters));
        versions.push((version, Arc::clone(&space)));
        space
    }

    pub(crate) fn ask(&self, key: &str, tags: Vec<StoreKey>, expire: Option<Duration>) -> Ask {
        let entry = key::entry(&self.namespace, &self.shape, key);
        let place = match &self.backend.store {
            Some(_) => MemoryKey::new(0, entry.as_bytes()),
            None => MemoryKey::new(self.id, key.as_bytes()),
        };
        Ask { entry, place, tags, expire: expire.unwrap_or(self.options.expire) }
    }

    /// A fresh value in memory, found without an await; what a hit costs.
    pub(crate) fn try_now<T: Clone + 'static>(&self, key: &str) -> Option<T> {
        let memory = self.backend.memory.as_ref().filter(|_| self.options.enabled)?;
        let entry;
        let look_up = match &self.backend.store {
            None => LookUp { space: self.id, key: key.as_bytes() },
            Some(_) => {
                entry = key::entry(&self.namespace, &self.shape, key);
                LookUp { space: 0, key: entry.as_bytes() }
            }
        };
        let kept = memory.get(&look_up)?;
        let now = self.backend.now();
        let far_from_its_end =
            kept.expires > now && (kept.took.is_zero() || kept.expires.since(now) > self.early_within(kept.took));
        let value =
            (far_from_its_end && self.counts(&kept) && self.is_recent(&kept, now)).then(|| kept.value::<T>())?;
        self.counters.hits();
        value
    }

    /// Whether nothing cleared it, as far as this process knows.
    pub(crate) fn counts(&self, kept: &Kept) -> bool {
        !self.backend.is_cleared(&self.cleared_at, kept.tags(), kept.began)
    }

    /// Whether memory may give it out without asking the store.
    pub(crate) fn is_recent(&self, kept: &Kept, now: Time) -> bool {
        self.backend.store.is_none() || now.since(kept.asked) < self.options.memory_expire
    }

    /// Whether it may be given out, fresh or stale.
    pub(crate) fn lives(&self, kept: &Kept, now: Time) -> bool {
        now < kept.expires + self.options.stale
    }

    /// Whether somebody should create it anew: it is stale, or its end is near and the dice say so.
    pub(crate) fn is_due(&self, kept: &Kept) -> bool {
        let now = self.backend.now();
        if now >= kept.expires {
            return true;
        }
        let (left, took) = (kept.expires.since(now), kept.took);
        if took.is_zero() || left > self.early_within(took) {
            return false;
        }
        // The dice of XFetch: -ln of a number between 0 and 1.
        let dice = -(1.0 - fastrand::f64()).ln();
        took.as_secs_f64() * self.options.early * dice >= left.as_secs_f64()
    }

    fn early_within(&self, took: Duration) -> Duration {
        took.mul_f64(self.options.early * EARLIEST)
    }

    pub(crate) fn count_given(&self, kept: &Kept, waited: bool) {
        match (self.backend.now() >= kept.expires, waited) {
            (true, _) => self.counters.stale(),
            (false, true) => self.counters.waits(),
            (false, false) => self.counters.hits(),
        }
    }

    /// Until when memory should hold a value that was made now, for so long, from what was so when it was asked for.
    pub(crate) fn until(&self, now: Time, asked: Time, expire: Duration) -> Time {
        let end = now + expire + self.options.stale;
        if self.backend.store.is_some() { end.min(asked + self.options.memory_expire) } else { end }
    }

    /// Puts a value into memory, if there is memory and nothing happened to the value since it was begun.
    pub(crate) fn remember(&self, ask: &Ask, kept: &Kept) {
        let Some(memory) = &self.backend.memory else { return };
        if kept.until > self.backend.now()
            && !self.backend.is_void(ask.entry, &self.cleared_at, kept.tags(), kept.began)
        {
            memory.insert(ask.place.clone(), kept.clone());
            // A removal that came between the check and the insertion did not find it.
            if self.backend.is_void(ask.entry, &self.cleared_at, kept.tags(), kept.began) {
                memory.remove(&ask.place);
            }
        }
    }

    /// Whether what began then was removed or cleared since.
    pub(crate) fn is_void(&self, ask: &Ask, began: u64) -> bool {
        self.backend.is_void(ask.entry, &self.cleared_at, &ask.tags, began)
    }

    /// How long a store keeps a value that is fresh for so long.
    pub(crate) fn lifetime(&self, expire: Duration) -> Duration {
        expire.saturating_add(self.options.stale)
    }

    /// What a value carries the generations of: the namespace and the tags.
    pub(crate) fn carried_by<'a>(&self, ask: &'a Ask) -> impl Iterator<Item = StoreKey> + use<'a> {
        [self.namespace_key].into_iter().chain(ask.tags.iter().copied())
    }

    /// What lies in a store for a value that carries these generations.
    pub(crate) fn record(&self, ask: &Ask, kept: &Kept, generations: &[Generation], body: Bytes) -> Bytes {
        let header = Header {
            created: kept.created,
            expires: kept.expires,
            took: kept.took,
            generation: generations[0],
            namespace: self.namespace.clone(),
            tags: ask.tags.iter().copied().zip(generations[1..].iter().copied()).collect(),
        };
        Record::Value(header, body).encode()
    }

    /// The value's bytes, unless it is too large or cannot be encoded; both are told of.
    pub(crate) fn encode<T: Serialize>(&self, value: &T) -> Option<Bytes> {
        match codec::encode(value) {
            Ok(bytes) if bytes.len() <= self.options.max_value_size => Some(bytes.into()),
            Ok(bytes) => {
                self.counters.too_large();
                if !self.complained.swap(true, Ordering::Relaxed) {
                    let (size, most) = (bytes.len(), self.options.max_value_size);
                    tracing::warn!(cache = %self.namespace, size, "a value is larger than {most} bytes (max_value_size) and not kept");
                }
                None
            }
            Err(error) => {
                tracing::error!(cache = %self.namespace, %error, "a value cannot be kept");
                None
            }
        }
    }

    /// A store that fails is no reason to fail: the caller goes on without it.
    pub(crate) fn went_wrong(&self, error: &Error, what: &str) {
        self.counters.unavailable();
        tracing::debug!(cache = %self.namespace, %error, what, "the cache's store failed");
    }

    pub(crate) fn is_damaged(&self, error: &Error) {
        tracing::warn!(cache = %self.namespace, %error, "a cached value cannot be read and is created anew");
    }

    pub(crate) fn counters(namespace: &str) -> Arc<Counters> {
        Arc::new(stats::counters(namespace))
    }
}
