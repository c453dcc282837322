//! Stores that count operations, or fail on demand.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use ampoule_core::{
    Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
};

/// A store that counts calls, records writes, and fails on demand.
pub(crate) struct SpyStore {
    store: Arc<dyn Store>,
    pub(crate) gets: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) touches: AtomicUsize,
    pub(crate) deletes: AtomicUsize,
    pub(crate) written: Mutex<Vec<(StoreKey, Entry)>>,
    behaviour: AtomicU8,
}

/// The behaviour of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreBehaviour {
    Works = 0,
    Refuses = 1,
    Hangs = 2,
    /// Lets all other tasks go first, each time.
    Yields = 3,
}

impl SpyStore {
    pub(crate) fn new(store: Arc<dyn Store>) -> SpyStore {
        SpyStore {
            store,
            gets: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            touches: AtomicUsize::new(0),
            deletes: AtomicUsize::new(0),
            written: Mutex::default(),
            behaviour: AtomicU8::new(StoreBehaviour::Works as u8),
        }
    }

    /// The calls since the last call of this: gets, puts, touches, deletes.
    pub(crate) fn calls(&self) -> [usize; 4] {
        [&self.gets, &self.puts, &self.touches, &self.deletes].map(|count| count.swap(0, Ordering::SeqCst))
    }

    pub(crate) fn set_behaviour(&self, behaviour: StoreBehaviour) {
        self.behaviour.store(behaviour as u8, Ordering::SeqCst);
    }

    async fn count_and_behave(&self, count: &AtomicUsize) -> Result<(), Error> {
        count.fetch_add(1, Ordering::SeqCst);
        match self.behaviour.load(Ordering::SeqCst) {
            1 => Err(Error::new(ErrorKind::Unavailable, "the store is down")),
            2 => std::future::pending().await,
            3 => {
                tokio::task::yield_now().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Store for SpyStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(async move {
            self.count_and_behave(&self.gets).await?;
            self.store.get(key).await
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, when: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async move {
            self.count_and_behave(&self.puts).await?;
            self.written.lock().unwrap().push((key, entry.clone()));
            self.store.put(key, entry, when).await
        })
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, when: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async move {
            self.count_and_behave(&self.puts).await?;
            self.written.lock().unwrap().push((key, entry.clone()));
            self.store.put_evictable(key, entry, when).await
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(async move {
            self.count_and_behave(&self.touches).await?;
            self.store.touch(key, version, lifetime).await
        })
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move {
            self.count_and_behave(&self.deletes).await?;
            self.store.delete(key).await
        })
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.store.keys_with_tag(tag)
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(from, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.store.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.store.ping()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
