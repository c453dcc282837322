//! The creation of a value: the state when it began, which decides whether the value may be stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Error, ErrorKind, PutMode, PutResult, Time};

use crate::format::Generation;
use crate::lookup::{Found, Lookup};
use crate::memory::{self, Cached, Metadata};
use crate::remote::{MAX_CREATION, Remote};
use crate::single_flight::Leader;
use crate::value::{Cacheable, Created};

/// The state when a creator begins, by which a removal or invalidation in the meantime is detected.
pub(crate) struct Creation<'a> {
    lookup: &'a Lookup<'a>,
    began: u64,
    asked: Time,
    /// The same by a monotonic clock.
    instant: Instant,
    condition: PutMode,
    /// The generations of the namespace and the tags; `None` if there is no store, or it does not answer.
    generations: Option<Vec<Generation>>,
}

impl<'a> Creation<'a> {
    /// Begins a creation; also returns the value if another caller has created it since the lookup.
    pub(crate) async fn begin<T: Cacheable>(lookup: &'a Lookup<'a>) -> (Creation<'a>, Option<Cached<Arc<T>>>) {
        let backend = &lookup.namespace.backend;
        backend.start_sweeping();
        let (began, asked, instant) = (backend.moment(), backend.now(), Instant::now());
        let mut generations = None;
        let found = match &backend.store {
            None => Found { cached: lookup.in_memory(), condition: PutMode::Always, is_reachable: true },
            Some(remote) => {
                let lifetime = lookup.namespace.lifetime(lookup.expire);
                match remote.lasting_generations(lookup.generation_keys(), asked, lifetime).await {
                    Ok(made) => {
                        let found = lookup.in_store(remote).await;
                        generations = found.is_reachable.then_some(made);
                        found
                    }
                    Err(error) => {
                        lookup.namespace.report_outage(&error, "begin");
                        Found { cached: None, condition: PutMode::Create, is_reachable: false }
                    }
                }
            }
        };
        (Creation { lookup, began, asked, instant, condition: found.condition, generations }, found.cached)
    }

    /// Stores the created value unless it was invalidated meanwhile, and gives it to the waiting callers.
    pub(crate) async fn finish<T: Cacheable>(self, leader: Leader<'_>, created: Created<T>, took: Duration) {
        let (lookup, namespace) = (self.lookup, self.lookup.namespace);
        let expire = created.expire.unwrap_or(lookup.expire);
        if expire.is_zero() {
            return;
        }
        let value = Arc::new(created.value);
        let body = match namespace.encode(&*value) {
            Ok(body) => body,
            Err(error) => {
                namespace.report_uncacheable(&error);
                // All waiting callers would create the same.
                return leader.complete(value, Instant::now());
            }
        };
        let now = namespace.backend.now();
        let about = Metadata {
            created: now,
            expires: now + expire,
            took,
            began: self.began,
            asked: self.asked,
            tags: memory::tags(lookup.tags.iter().copied()),
            size: body.len(),
            memory_until: namespace.memory_until(now, self.asked, expire),
        };
        let Some(as_of) = self.put(&about, body, leader.is_awaited()).await else { return };
        // From here on, an invalidation finds the value in memory.
        lookup.remember(Cached { about, value: Arc::<T>::clone(&value) });
        if !lookup.is_invalidated(self.began) {
            leader.complete(value, as_of);
        }
    }

    /// Puts the value into the store, if there is one that answers. Returns the last moment at which the value was
    /// known to be valid, and `None` if it no longer is.
    async fn put(&self, about: &Metadata, body: Bytes, is_awaited: bool) -> Option<Instant> {
        let (lookup, namespace) = (self.lookup, self.lookup.namespace);
        let (Some(remote), Some(generations)) = (&namespace.backend.store, &self.generations) else {
            return Some(Instant::now());
        };
        if namespace.backend.now().since(self.asked).max(self.instant.elapsed()) > MAX_CREATION {
            tracing::warn!(cache = %namespace.name, "creating a value took more than {MAX_CREATION:?}; it is not kept");
            return None;
        }
        match self.put_to(remote, about, generations, body).await {
            Ok(PutResult::Stored(_)) => {}
            Ok(PutResult::Conflict) => return None,
            Err(error) => {
                namespace.report_outage(&error, "write");
                // A put with an unknown outcome may have met the mark of a removal.
                return (error.kind() != ErrorKind::Timeout).then(Instant::now);
            }
        }
        let as_of = Instant::now();
        let current = lookup.generation_keys().zip(generations.iter().copied());
        let is_right = !is_awaited || remote.are_current(current).await.unwrap_or_default();
        is_right.then_some(as_of)
    }

    async fn put_to(
        &self,
        remote: &Remote,
        about: &Metadata,
        generations: &[Generation],
        body: Bytes,
    ) -> Result<PutResult, Error> {
        let (lookup, namespace) = (self.lookup, self.lookup.namespace);
        let lifetime = namespace.lifetime(about.expires.since(about.created));
        // If the value is kept longer than was known at the beginning, its generations must be kept longer too.
        if lifetime > namespace.lifetime(lookup.expire) {
            let now = namespace.backend.now();
            if remote.lasting_generations(lookup.generation_keys(), now, lifetime).await? != generations {
                return Ok(PutResult::Conflict);
            }
        }
        remote.put(lookup.entry, lookup.record(about, generations, body), lifetime, self.condition).await
    }
}
