//! For tools: counts the records of caches in a store, and removes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ampoule_core::{Error, ErrorKind, Store, StoreKey, Stored, Time};
use futures_util::future::try_join_all;

use crate::backend::Backend;
use crate::format::{Generation, Header, Record};
use crate::key::{self, Kind};

/// How many records are read concurrently.
const CONCURRENCY: usize = 32;
/// About how many keys a page of the walk has.
const MAX_PAGE: usize = 256;

/// The result of [`Backend::store_usage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreUsage {
    /// The namespaces, by name.
    pub namespaces: BTreeMap<String, NamespaceUsage>,
    /// Marks of recently removed values.
    pub removed: u64,
    /// Leases of values that are being created, in any process.
    pub leases: u64,
    /// Generations of namespaces and tags.
    pub generations: u64,
    /// Counts of rate limiters.
    pub rates: u64,
    /// Records that cannot be decoded; the next caller that needs one creates it again.
    pub damaged: u64,
}

/// The records of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceUsage {
    /// Fresh values.
    pub fresh: u64,
    /// Expired values that are kept for as long as `stale` allows.
    pub stale: u64,
    /// Values that were invalidated, and are kept until they expire.
    pub cleared: u64,
    /// The size of all these values, in bytes.
    pub bytes: u64,
    /// When the oldest was created.
    pub oldest: Option<Time>,
    /// When the newest was created.
    pub newest: Option<Time>,
}

impl Backend {
    /// Counts the records of caches in the store, by reading all of them; other records are ignored. `seen` is called
    /// from time to time with the number of records that were read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    /// use ampoule_core::MemoryStore;
    ///
    /// let backend = Backend::store(Arc::new(MemoryStore::default()), &BackendOptions::default());
    /// CacheManager::new(backend.clone(), CacheOptions::default())?.cache::<u32>("prices").insert("tea", 4).await?;
    /// let usage = backend.store_usage(|_| {}).await?;
    /// assert_eq!(usage.namespaces["prices"].fresh, 1);
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a backend in memory alone; errors of the store.
    pub async fn store_usage(&self, mut seen: impl FnMut(u64)) -> Result<StoreUsage, Error> {
        let store = self.required_store()?;
        let mut reader = Reader { store: &*store, generations: HashMap::new() };
        let mut usage = StoreUsage::default();
        let mut number = 0;
        let mut walk = Walk::over(reader.store);
        while let Some(keys) = walk.next().await? {
            let found = try_join_all(keys.iter().map(|key| reader.read(*key))).await?;
            for (key, found) in keys.iter().zip(found) {
                reader.count(*key, found, self.0.now(), &mut usage).await?;
            }
            number += keys.len() as u64;
            seen(number);
        }
        Ok(usage)
    }

    /// Removes all records of caches from the store, and no others, and returns how many. To invalidate values,
    /// clearing their namespace is one command; this also frees their space at once.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    /// use ampoule_core::MemoryStore;
    ///
    /// let backend = Backend::store(Arc::new(MemoryStore::default()), &BackendOptions::default());
    /// CacheManager::new(backend.clone(), CacheOptions::default())?.cache::<u32>("prices").insert("tea", 4).await?;
    /// assert!(backend.wipe(|_| {}).await? > 0);
    /// assert!(backend.store_usage(|_| {}).await?.namespaces.is_empty());
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a backend in memory alone; errors of the store.
    pub async fn wipe(&self, mut seen: impl FnMut(u64)) -> Result<u64, Error> {
        let store = self.required_store()?;
        let mut removed = 0;
        let mut walk = Walk::over(&*store);
        while let Some(keys) = walk.next().await? {
            let done = try_join_all(keys.iter().map(|key| store.delete(*key))).await?;
            removed += done.into_iter().filter(|was_there| *was_there).count() as u64;
            seen(removed);
        }
        Ok(removed)
    }

    fn required_store(&self) -> Result<Arc<dyn Store>, Error> {
        self.inner_store().ok_or_else(|| {
            let message = "this backend keeps values in memory and has no store";
            Error::new(ErrorKind::Invalid, message)
        })
    }
}

/// Iterates over the keys of caches, each once.
struct Walk<'a> {
    store: &'a dyn Store,
    seen: HashSet<StoreKey>,
    /// The keys of the last page that were not returned yet.
    left: Vec<StoreKey>,
    /// The cursor of the next page; `None` after the last.
    next: Option<Option<String>>,
}

impl Walk<'_> {
    fn over(store: &dyn Store) -> Walk<'_> {
        Walk { store, seen: HashSet::new(), left: Vec::new(), next: Some(None) }
    }

    /// The next keys, as many as are read concurrently; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<StoreKey>>, Error> {
        while self.left.is_empty() {
            let Some(cursor) = self.next.take() else { return Ok(None) };
            let page = self.store.scan(cursor.as_deref(), MAX_PAGE).await?;
            let is_new = |key: &StoreKey| key::kind(*key).is_some() && self.seen.insert(*key);
            self.left = page.keys.into_iter().filter(is_new).collect();
            self.next = page.next.map(Some);
        }
        Ok(Some(self.left.split_off(self.left.len().saturating_sub(CONCURRENCY))))
    }
}

/// The record under a key; `Err` if the store reports damage.
type Read = Result<Option<Stored>, Damaged>;

struct Damaged;

/// Reads records, and the generations that they carry, each generation once.
struct Reader<'a> {
    store: &'a dyn Store,
    generations: HashMap<StoreKey, Option<Generation>>,
}

impl Reader<'_> {
    async fn read(&self, key: StoreKey) -> Result<Read, Error> {
        match self.store.get(key).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(Damaged)),
            answer => answer.map(Ok),
        }
    }

    async fn count(&mut self, key: StoreKey, found: Read, now: Time, usage: &mut StoreUsage) -> Result<(), Error> {
        let Ok(stored) = found else {
            usage.damaged += 1;
            return Ok(());
        };
        let Some(stored) = stored else { return Ok(()) };
        match key::kind(key) {
            Some(Kind::Lease) => usage.leases += 1,
            Some(Kind::Rate) => usage.rates += 1,
            Some(Kind::Namespace | Kind::Tag) => usage.generations += 1,
            _ => match Record::decode(&stored.value) {
                Ok(Record::Removed) => usage.removed += 1,
                Ok(Record::Value(header, _)) => {
                    let is_valid = self.is_valid(&header).await?;
                    let namespace = usage.namespaces.entry(header.namespace.clone()).or_default();
                    namespace.add(&header, stored.value.len() as u64, is_valid, now);
                }
                Err(_) => usage.damaged += 1,
            },
        }
        Ok(())
    }

    /// Whether the value carries the present generations of its namespace and tags.
    async fn is_valid(&mut self, header: &Header) -> Result<bool, Error> {
        let namespace = (key::namespace(&header.namespace), header.generation);
        for (key, then) in std::iter::once(namespace).chain(header.tags.iter().copied()) {
            if self.generation(key).await? != Some(then) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn generation(&mut self, key: StoreKey) -> Result<Option<Generation>, Error> {
        if let Some(known) = self.generations.get(&key) {
            return Ok(*known);
        }
        let stored = self.read(key).await?.ok().flatten();
        let generation = stored.and_then(|stored| Generation::try_from(&*stored.value).ok());
        self.generations.insert(key, generation);
        Ok(generation)
    }
}

impl NamespaceUsage {
    fn add(&mut self, header: &Header, bytes: u64, is_valid: bool, now: Time) {
        match is_valid {
            false => self.cleared += 1,
            true if now < header.expires => self.fresh += 1,
            true => self.stale += 1,
        }
        self.bytes += bytes;
        self.oldest = Some(self.oldest.map_or(header.created, |oldest| oldest.min(header.created)));
        self.newest = self.newest.max(Some(header.created));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ampoule_core::{Bytes, Entry, ManualClock, MemoryBounds, MemoryStore, PutMode};

    use super::*;
    use crate::manager::CacheManager;
    use crate::options::{BackendOptions, CacheOptions};

    #[tokio::test]
    async fn records_of_caches_are_counted_and_wiped_and_no_others() {
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
