//! The lookup of one value: in memory, then in the store.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::codec;
use ampoule_core::{Bytes, Error, ErrorKind, PutMode, StoreKey, Time};
use futures_util::future::try_join;

use crate::format::{Generation, Header, Record};
use crate::memory::{self, Cached, MemoryKey, Metadata};
use crate::namespace::Namespace;
use crate::remote::Remote;
use crate::value::Cacheable;

/// One value, its tags and its expiry.
pub(crate) struct Lookup<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) entry: StoreKey,
    pub(crate) memory_key: MemoryKey,
    /// The keys of the generations that the value must carry in addition to its namespace's.
    pub(crate) tags: Vec<StoreKey>,
    pub(crate) expire: Duration,
}

/// The result of a lookup.
pub(crate) struct Found<T> {
    /// The valid value, fresh or stale.
    pub(crate) cached: Option<Cached<Arc<T>>>,
    /// The mode of a put that replaces it.
    pub(crate) condition: PutMode,
    pub(crate) is_reachable: bool,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(
        namespace: &'a Namespace,
        key: &[u8],
        tags: Vec<StoreKey>,
        expire: Option<Duration>,
    ) -> Lookup<'a> {
        let entry = namespace.entry(key);
        let memory_key = namespace.memory_key(key, &entry).to_owned();
        Lookup { namespace, entry, memory_key, tags, expire: expire.unwrap_or(namespace.options.expire) }
    }

    /// Reads memory, then the store. A store that fails counts as empty.
    pub(crate) async fn find<T: Cacheable>(&self) -> Found<T> {
        let cached = self.in_memory();
        match &self.namespace.backend.store {
            Some(remote) if cached.is_none() => self.in_store(remote).await,
            _ => Found { cached, condition: PutMode::Always, is_reachable: true },
        }
    }

    /// The value in memory, if it may be returned as far as this process knows.
    pub(crate) fn in_memory<T: Cacheable>(&self) -> Option<Cached<Arc<T>>> {
        let namespace = self.namespace;
        let cached = namespace.backend.memory.as_ref()?.get(self.memory_key.borrow())?;
        let (about, now) = (&cached.about, namespace.backend.now());
        let counts = namespace.is_valid(about) && namespace.is_recent(about, now) && namespace.is_usable(about, now);
        counts.then(|| cached.downcast())?
    }

    pub(crate) async fn in_store<T: Cacheable>(&self, remote: &Remote) -> Found<T> {
        let backend = &self.namespace.backend;
        match self.fetch::<T>(remote, backend.moment(), backend.now()).await {
            Ok((cached, condition)) => {
                if let Some(cached) = &cached {
                    self.remember(cached.erase());
                }
                Found { cached, condition, is_reachable: true }
            }
            Err(error) => {
                self.namespace.report_outage(&error, "read");
                Found { cached: None, condition: PutMode::Create, is_reachable: false }
            }
        }
    }

    async fn fetch<T: Cacheable>(
        &self,
        remote: &Remote,
        began: u64,
        asked: Time,
    ) -> Result<(Option<Cached<Arc<T>>>, PutMode), Error> {
        let record = async {
            match remote.get(self.entry).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(error)),
                answer => answer.map(Ok),
            }
        };
        let (record, generation) = try_join(record, remote.generation(self.namespace.key)).await?;
        let stored = match record {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok((None, PutMode::Create)),
            Err(damaged) => {
                self.namespace.report_damage(&damaged);
                return Ok((None, PutMode::Always));
            }
        };
        let condition = PutMode::Replace(stored.version);
        let (header, body) = match Record::decode(&stored.value) {
            Ok(Record::Value(header, body)) => (header, body),
            Ok(Record::Removed) => return Ok((None, condition)),
            Err(damaged) => {
                self.namespace.report_damage(&damaged);
                return Ok((None, condition));
            }
        };
        if generation != Some(header.generation) || !remote.are_current(header.tags.iter().copied()).await? {
            return Ok((None, condition));
        }
        let Ok(value) = codec::decode::<T>(&body) else { return Ok((None, condition)) };
        let about = Metadata {
            created: header.created,
            expires: header.expires,
            took: header.took,
            began,
            asked,
            tags: memory::tags(header.tags.iter().map(|(key, _)| *key)),
            size: body.len(),
            memory_until: asked + self.namespace.options.memory_expire,
        };
        let is_usable = self.namespace.is_usable(&about, asked);
        Ok((is_usable.then(|| Cached { about, value: Arc::new(value) }), condition))
    }

    /// Puts a value into memory, if there is memory and the value was not invalidated since its creation or read began.
    pub(crate) fn remember(&self, cached: Cached) {
        let backend = &self.namespace.backend;
        let Some(memory) = &backend.memory else { return };
        let (began, tags) = (cached.about.began, cached.about.tags.clone());
        let is_invalid = || {
            backend.is_removed(self.entry, began)
                || backend.is_invalidated(self.namespace.key, tags.as_deref().unwrap_or_default(), began)
        };
        if cached.about.memory_until > backend.now() && !is_invalid() {
            memory.insert(self.memory_key.clone(), cached);
            // A removal between the check and the insertion did not find the value.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            if is_invalid() {
                memory.remove(self.memory_key.borrow());
            }
        }
    }

    /// Whether the value was removed or invalidated since `began`.
    pub(crate) fn is_invalidated(&self, began: u64) -> bool {
        let backend = &self.namespace.backend;
        backend.is_removed(self.entry, began) || backend.is_invalidated(self.namespace.key, &self.tags, began)
    }

    /// The keys of the generations that the value carries: those of the namespace and the tags.
    pub(crate) fn generation_keys(&self) -> impl Iterator<Item = StoreKey> {
        [self.namespace.key].into_iter().chain(self.tags.iter().copied())
    }

    /// The record of a value that carries these generations.
    pub(crate) fn record(&self, about: &Metadata, generations: &[Generation], body: Bytes) -> Bytes {
        let header = Header {
            created: about.created,
            expires: about.expires,
            took: about.took,
            generation: generations[0],
            namespace: self.namespace.name.as_ref().to_owned(),
            tags: self.tags.iter().copied().zip(generations[1..].iter().copied()).collect(),
        };
        Record::Value(header, body).encode()
    }

    /// Puts a value, whatever is stored.
    pub(crate) async fn insert<T: Cacheable>(&self, value: T) -> Result<(), Error> {
        let (namespace, backend) = (self.namespace, &self.namespace.backend);
        backend.start_sweeping();
        let body = namespace.encode(&value)?;
        let now = backend.now();
        let mut about = Metadata {
            created: now,
            expires: now + self.expire,
            took: Duration::ZERO,
            began: backend.moment(),
            asked: now,
            tags: memory::tags(self.tags.iter().copied()),
            size: body.len(),
            memory_until: namespace.memory_until(now, now, self.expire),
        };
        if let Some(remote) = &backend.store {
            let lifetime = namespace.lifetime(self.expire);
            let generations = remote.lasting_generations(self.generation_keys(), now, lifetime).await?;
            let record = self.record(&about, &generations, body);
            let _ = remote.put(self.entry, record, lifetime, PutMode::Always).await?;
        }
        let is_invalidated = self.is_invalidated(about.began);
        // A caller that is creating the value, or reading it from the store, began before this put.
        about.began = backend.forget(self.memory_key.borrow(), self.entry);
        if !is_invalidated || backend.store.is_none() {
            self.remember(Cached { about, value: Arc::new(value) });
        }
        Ok(())
    }

    /// Removes the value, and discards a creation in progress.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        let backend = &self.namespace.backend;
        backend.start_sweeping();
        let done = match &backend.store {
            Some(remote) => remote.remove(self.entry).await,
            None => Ok(()),
        };
        backend.forget(self.memory_key.borrow(), self.entry);
        done
    }
}
