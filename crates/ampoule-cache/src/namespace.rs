//! The values of one namespace and one type, in one region.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::codec;
use ampoule_core::{Bytes, Error, ErrorKind, StoreKey, Time};
use serde::Serialize;

use crate::backend::Inner;
use crate::key;
use crate::memory::{MemoryKeyRef, Metadata};
use crate::options::CacheOptions;
use crate::stats::Counters;

/// Beyond this multiple of the time that creating takes, the chance of an early refresh is one in a million.
const MAX_EARLY: f64 = 14.0;

#[derive(Clone)]
pub(crate) struct Namespace {
    pub(crate) name: Arc<str>,
    /// The key of the namespace's generation.
    pub(crate) key: StoreKey,
    pub(crate) backend: Arc<Inner>,
    pub(crate) options: CacheOptions,
    pub(crate) counters: Arc<Counters>,
    /// The schema fingerprint of the type.
    fingerprint: [u8; 32],
    /// The digest of the namespace, the type and its version, from which the keys of all values are made.
    values: StoreKey,
}

impl Namespace {
    pub(crate) fn new(
        name: &str,
        fingerprint: [u8; 32],
        backend: Arc<Inner>,
        options: CacheOptions,
        counters: Arc<Counters>,
    ) -> Namespace {
        let name = key::stored(name);
        let (key, values) = (key::namespace(&name), values(&name, &fingerprint, 0));
        Namespace { name: name.into(), key, backend, options, counters, fingerprint, values }
    }

    /// The namespace for another version of the type.
    pub(crate) fn with_version(&self, version: u32) -> Namespace {
        Namespace { values: values(&self.name, &self.fingerprint, version), ..self.clone() }
    }

    /// The key of a value in the store.
    pub(crate) fn entry(&self, key: &[u8]) -> StoreKey {
        key::entry(self.values, key)
    }

    /// The key of a value in memory: its key in the store, if there is one.
    pub(crate) fn memory_key<'a>(&self, key: &'a [u8], entry: &'a StoreKey) -> MemoryKeyRef<'a> {
        match &self.backend.store {
            Some(_) => MemoryKeyRef::of(entry),
            None => self.memory_key_without_store(key),
        }
    }

    fn memory_key_without_store<'a>(&self, key: &'a [u8]) -> MemoryKeyRef<'a> {
        let values = self.values.as_bytes().first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        MemoryKeyRef { values, key }
    }

    /// Returns a fresh value in memory, without an await: the whole path of a hit.
    pub(crate) fn try_now<T: Clone + 'static>(&self, key: &[u8]) -> Option<T> {
        let memory = self.backend.memory.as_ref().filter(|_| self.options.enabled)?;
        let cached = match &self.backend.store {
            None => memory.get(self.memory_key_without_store(key)),
            Some(_) => memory.get(MemoryKeyRef::of(&self.entry(key))),
        }?;
        let (about, now) = (&cached.about, self.backend.now());
        let is_far_from_its_end =
            about.expires > now && (about.took.is_zero() || about.expires.since(now) > self.early_within(about.took));
        if !is_far_from_its_end || !self.is_valid(about) || !self.is_recent(about, now) {
            return None;
        }
        let value = cached.value.downcast_ref::<T>().cloned()?;
        self.counters.hits();
        Some(value)
    }

    /// Whether neither its namespace nor a tag was invalidated, as far as this process knows.
    pub(crate) fn is_valid(&self, about: &Metadata) -> bool {
        !self.backend.is_invalidated(self.key, about.tags(), about.began)
    }

    /// Whether memory may return it without a read of the store.
    pub(crate) fn is_recent(&self, about: &Metadata, now: Time) -> bool {
        self.backend.store.is_none() || now.since(about.asked) < self.options.memory_expire
    }

    /// Whether it may be returned, fresh or stale.
    pub(crate) fn is_usable(&self, about: &Metadata, now: Time) -> bool {
        now < about.expires + self.options.stale
    }

    /// Whether one caller should create it again: it is stale, or it is near its end and the random choice says so.
    pub(crate) fn should_refresh(&self, about: &Metadata) -> bool {
        let now = self.backend.now();
        if now >= about.expires {
            return true;
        }
        let (left, took) = (about.expires.since(now), about.took);
        if took.is_zero() || left > self.early_within(took) {
            return false;
        }
        // The random number of XFetch: -ln of a number between 0 and 1.
        let dice = -(1.0 - fastrand::f64()).ln();
        took.as_secs_f64() * self.options.early * dice >= left.as_secs_f64()
    }

    fn early_within(&self, took: Duration) -> Duration {
        took.mul_f64(self.options.early * MAX_EARLY)
    }

    pub(crate) fn count_served(&self, about: &Metadata, waited: bool) {
        match (self.backend.now() >= about.expires, waited) {
            (true, _) => self.counters.stale(),
            (false, true) => self.counters.waits(),
            (false, false) => self.counters.hits(),
        };
    }

    /// The time until which memory holds a value that is created now and was requested at `asked`.
    pub(crate) fn memory_until(&self, now: Time, asked: Time, expire: Duration) -> Time {
        let end = now + expire + self.options.stale;
        if self.backend.store.is_some() { end.min(asked + self.options.memory_expire) } else { end }
    }

    /// How long a store keeps a value that is fresh for `expire`.
    pub(crate) fn lifetime(&self, expire: Duration) -> Duration {
        expire.saturating_add(self.options.stale)
    }

    /// Encodes a value.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the value cannot be encoded, [`ErrorKind::TooLarge`] if it exceeds the region's limit.
    pub(crate) fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, Error> {
        let bytes = codec::encode(value)?;
        let (size, max) = (bytes.len(), self.options.max_value_size);
        if size > max {
            let message = format!("a value of {size} bytes, where {max} are allowed (max_value_size)");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(bytes.into())
    }

    /// Logs that a value is returned but not stored.
    pub(crate) fn report_uncacheable(&self, error: &Error) {
        let is_first = error.kind() != ErrorKind::TooLarge || self.counters.too_large() == 0;
        if is_first {
            tracing::warn!(cache = %self.name, error = %error.report(), "a value is returned but not cached");
        }
    }

    /// Logs an error of the store. The caller continues without the store.
    pub(crate) fn report_outage(&self, error: &Error, what: &str) {
        self.counters.unavailable();
        tracing::debug!(cache = %self.name, error = %error.report(), what, "the cache's store failed");
    }

    pub(crate) fn report_damage(&self, error: &Error) {
        tracing::warn!(cache = %self.name, error = %error.report(), "a damaged cached value is created again");
    }
}

fn values(name: &str, fingerprint: &[u8; 32], version: u32) -> StoreKey {
    key::digest(&[b"values", name.as_bytes(), fingerprint, &version.to_le_bytes()])
}
