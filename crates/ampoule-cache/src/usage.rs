//! What a store holds of caches, for tools: counted, and removed altogether.

use std::collections::{BTreeMap, HashMap, HashSet};

use ampoule_core::{Error, ErrorKind, Store, StoreKey, Stored, Time};
use futures_util::future::try_join_all;

use crate::backend::Backend;
use crate::format::{Generation, Header, Record};
use crate::key::{self, Kind};

/// How many records are read at once.
const CONCURRENCY: usize = 32;
/// How many keys a page of the walk has, about.
const MAX_PAGE: usize = 256;

/// What [`Backend::store_usage`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreUsage {
    /// The namespaces, by name.
    pub namespaces: BTreeMap<String, NamespaceUsage>,
    /// Marks of values that were lately removed.
    pub removed: u64,
    /// Values that are being created, in any process.
    pub leases: u64,
    /// Namespaces and tags that are known.
    pub generations: u64,
    /// Records that cannot be read; the next caller that asks for one creates it anew.
    pub damaged: u64,
}

/// What a store holds of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceUsage {
    /// Values that are given out.
    pub fresh: u64,
    /// Values that have expired and are kept for as long as `stale` allows.
    pub stale: u64,
    /// Values that were cleared, and wait for their end.
    pub cleared: u64,
    /// The size of all of them, in bytes.
    pub bytes: u64,
    /// When the oldest was created.
    pub oldest: Option<Time>,
    /// When the newest was created.
    pub newest: Option<Time>,
}

impl Backend {
    /// Counts what the store holds of caches, by reading all of it; other records are passed over. `seen` is told now
    /// and then how many were read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where there is only memory; those of the store.
    pub async fn store_usage(&self, mut seen: impl FnMut(u64)) -> Result<StoreUsage, Error> {
        let store = self.required_store()?;
        let mut usage = StoreUsage::default();
        let mut generations = HashMap::new();
        let mut number = 0;
        walk(&*store, async |keys| {
            for some in keys.chunks(CONCURRENCY) {
                let found = try_join_all(some.iter().map(|key| read(&*store, *key))).await?;
                for (key, found) in some.iter().zip(found) {
                    usage.add(&*store, *key, found, self.0.now(), &mut generations).await?;
                }
                number += some.len() as u64;
                seen(number);
            }
            Ok(())
        })
        .await?;
        Ok(usage)
    }

    /// Removes everything that the store holds of caches, and nothing else. To make values count no more, clearing
    /// their namespace is one command; this also frees their space at once.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where there is only memory; those of the store.
    pub async fn wipe(&self, mut seen: impl FnMut(u64)) -> Result<u64, Error> {
        let store = self.required_store()?;
        let mut removed = 0;
        walk(&*store, async |keys| {
            for some in keys.chunks(CONCURRENCY) {
                let done = try_join_all(some.iter().map(|key| store.delete(*key))).await?;
                removed += done.into_iter().filter(|was_there| *was_there).count() as u64;
                seen(removed);
            }
            Ok(())
        })
        .await?;
        Ok(removed)
    }

    fn required_store(&self) -> Result<std::sync::Arc<dyn Store>, Error> {
        self.inner_store().ok_or_else(|| {
            let message = "a cache in memory is in that of the process that serves: no other can reach it";
            Error::new(ErrorKind::Invalid, message)
        })
    }
}

/// Goes through the keys of caches, each once.
async fn walk(store: &dyn Store, mut visit: impl AsyncFnMut(&[StoreKey]) -> Result<(), Error>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let mut place: Option<String> = None;
    loop {
        let page = store.scan(place.as_deref(), MAX_PAGE).await?;
        let is_new = |key: &StoreKey| key::kind(*key).is_some() && seen.insert(*key);
        let keys: Vec<StoreKey> = page.keys.into_iter().filter(is_new).collect();
        visit(&keys).await?;
        match page.next {
            Some(next) => place = Some(next),
            None => return Ok(()),
        }
    }
}

/// What lies under a key; `Err` if the store says that it is damaged.
async fn read(store: &dyn Store, key: StoreKey) -> Result<Result<Option<Stored>, ()>, Error> {
    match store.get(key).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(())),
        answer => answer.map(Ok),
    }
}

impl StoreUsage {
    async fn add(
        &mut self,
        store: &dyn Store,
        key: StoreKey,
        found: Result<Option<Stored>, ()>,
        now: Time,
        known: &mut HashMap<StoreKey, Option<Generation>>,
    ) -> Result<(), Error> {
        let stored = match found {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(()),
            Err(()) => {
                self.damaged += 1;
                return Ok(());
            }
        };
        match key::kind(key) {
            Some(Kind::Lease) => self.leases += 1,
            Some(Kind::Namespace | Kind::Tag) => self.generations += 1,
            _ => match Record::decode(&stored.value) {
                Ok(Record::Removed) => self.removed += 1,
                Ok(Record::Value(header, _)) => {
                    let counts = counts(store, &header, known).await?;
                    self.add_value(&header, stored.value.len() as u64, counts, now);
                }
                Err(_) => self.damaged += 1,
            },
        }
        Ok(())
    }

    fn add_value(&mut self, header: &Header, bytes: u64, counts: bool, now: Time) {
        let namespace = self.namespaces.entry(header.namespace.clone()).or_default();
        match counts {
            false => namespace.cleared += 1,
            true if now < header.expires => namespace.fresh += 1,
            true => namespace.stale += 1,
        }
        namespace.bytes += bytes;
        namespace.oldest = Some(namespace.oldest.map_or(header.created, |oldest| oldest.min(header.created)));
        namespace.newest = namespace.newest.max(Some(header.created));
    }
}

/// Whether the namespace and the tags of a value are still of its generations.
async fn counts(
    store: &dyn Store,
    header: &Header,
    known: &mut HashMap<StoreKey, Option<Generation>>,
) -> Result<bool, Error> {
    let namespace = (key::namespace(&header.namespace), header.generation);
    for (key, then) in std::iter::once(namespace).chain(header.tags.iter().copied()) {
        let now = match known.get(&key) {
            Some(now) => *now,
            None => {
                let stored = read(store, key).await?.ok().flatten();
                let now = stored.and_then(|stored| Generation::try_from(&*stored.value).ok());
                known.insert(key, now);
                now
            }
        };
        if now != Some(then) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ampoule_core::{Bytes, Entry, ManualClock, MemoryBounds, MemoryStore, PutMode};

    use super::*;
    use crate::manager::CacheManager;
    use crate::options::{BackendOptions, CacheOptions};

    #[tokio::test]
    async fn what_is_there_is_counted_and_wiped_and_nothing_else() {
        let clock = Arc::new(ManualClock::default());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
        let session = StoreKey::digest(b"a session");
        let entry = Entry { value: Bytes::from_static(b"of a user"), lifetime: Duration::MAX, tag: None };
        let _ = store.put(session, entry, PutMode::Create).await.unwrap();
        let backend = Backend::store(store.clone(), &BackendOptions { clock: clock.clone(), ..Default::default() });
        let options = CacheOptions { stale: Duration::from_secs(60), ..CacheOptions::default() };
        let manager = CacheManager::new(backend.clone(), options).unwrap();
        let (users, pages) = (manager.cache::<String>("users"), manager.cache::<u32>("pages"));
        for n in 0..50 {
            users.entry(&n.to_string()).tags([if n < 20 { "t" } else { "u" }]).insert("x".into()).await.unwrap();
        }
        pages.insert("old", 1).await.unwrap();
        clock.advance(Duration::from_secs(3_600));
        pages.insert("new", 2).await.unwrap();
        users.insert("fresh", "y".into()).await.unwrap();
        pages.insert("removed", 3).await.unwrap();
        pages.remove("removed").await.unwrap();
        manager.invalidate_tag("t").await.unwrap();
        let mut seen = 0;
        let usage = backend.store_usage(|number| seen = number).await.unwrap();
        let (users, pages) = (usage.namespaces["users"], usage.namespaces["pages"]);
        assert_eq!((users.fresh, users.stale, users.cleared), (1, 30, 20));
        assert_eq!((pages.fresh, pages.stale, pages.cleared), (1, 1, 0));
        assert!(users.bytes > 51 * 50 && users.oldest < users.newest);
        assert_eq!((usage.removed, usage.leases, usage.generations, usage.damaged), (1, 0, 4, 0));
        assert_eq!(seen, 53 + 1 + 4);
        assert_eq!(backend.wipe(|_| {}).await.unwrap(), 58);
        assert_eq!(backend.store_usage(|_| {}).await.unwrap(), StoreUsage::default());
        assert!(store.get(session).await.unwrap().is_some());
        let memory = Backend::memory(&BackendOptions::default());
        assert!(memory.store_usage(|_| {}).await.unwrap_err().to_string().contains("in memory"));
    }
}
