//! Caches as of different processes, and creators that report their calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ampoule::cache::{Backend, BackendOptions, Cache, CacheManager, CacheOptions};
use ampoule::store::{Store, StoreOptions};
use ampoule::{ManualClock, PoolOptions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::stores::SpyStore;
use super::{BackendKind, HOUR, SECOND};

/// A store, and caches on it as of different processes.
pub(crate) struct CacheCluster {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) spy: Arc<SpyStore>,
    url: String,
    _folder: tempfile::TempDir,
}

impl CacheCluster {
    pub(crate) fn new(backend: BackendKind) -> CacheCluster {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let url = backend.url(folder.path());
        let spy = Arc::new(SpyStore::new(open(&url, &clock)));
        CacheCluster { spy, clock, url, _folder: folder }
    }

    /// The store of another application: on the same server, with a table and a prefix of its own.
    pub(crate) fn neighbour(&self) -> Arc<dyn Store> {
        open(&self.url, &self.clock)
    }

    pub(crate) fn backend_options(&self) -> BackendOptions {
        BackendOptions { clock: self.clock.clone(), store_timeout: Some(5 * SECOND), ..BackendOptions::default() }
    }

    /// A cache as of another process.
    pub(crate) fn process(&self, options: CacheOptions) -> CacheManager {
        let store: Arc<dyn Store> = self.spy.clone();
        CacheManager::new(Backend::store(store, &self.backend_options()), options).unwrap()
    }

    pub(crate) fn process_with_memory(&self, options: CacheOptions) -> CacheManager {
        let store: Arc<dyn Store> = self.spy.clone();
        CacheManager::new(Backend::tiers(store, &self.backend_options()), options).unwrap()
    }
}

/// A store at which 1,000 callers may wait for one of 16 connections, also on a busy machine.
fn open(url: &str, clock: &Arc<ManualClock>) -> Arc<dyn Store> {
    let pool = PoolOptions { pool_timeout: 5 * SECOND, ..PoolOptions::default() };
    let options = StoreOptions { pool, ..super::store_options(clock.clone()) };
    ampoule::store::open(url, &options).unwrap()
}

pub(crate) fn options() -> CacheOptions {
    CacheOptions { expire: HOUR, ..CacheOptions::default() }
}

/// A creator that counts its calls.
#[derive(Clone, Default)]
pub(crate) struct Creator(Arc<AtomicUsize>);

impl Creator {
    pub(crate) async fn slowly(&self) -> usize {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        number
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A running creator that waits until it is released.
pub(crate) struct HeldCreator {
    began: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

impl HeldCreator {
    pub(crate) fn new() -> HeldCreator {
        HeldCreator { began: Arc::new(Semaphore::new(0)), go_on: Arc::new(Semaphore::new(0)) }
    }

    /// Starts to create in a task, and returns when the creator is running.
    pub(crate) async fn begin(
        &self,
        cache: &Cache<u32>,
        tags: &'static [&'static str],
        value: u32,
    ) -> tokio::task::JoinHandle<u32> {
        let (cache, began, go_on) = (cache.clone(), self.began.clone(), self.go_on.clone());
        let task = tokio::spawn(async move {
            let create = || async {
                began.add_permits(1);
                go_on.acquire().await.unwrap().forget();
                value
            };
            cache.entry("key").tags(tags).get_or_insert_with(create).await
        });
        self.began.acquire().await.unwrap().forget();
        task
    }

    pub(crate) fn go_on(&self) {
        self.go_on.add_permits(1);
    }
}

pub(crate) async fn ask_in_parallel(cache: &Cache<usize>, count: usize, creator: &Creator) -> Vec<usize> {
    let mut asking = JoinSet::new();
    for _ in 0..count {
        let (cache, creator) = (cache.clone(), creator.clone());
        asking.spawn(async move { cache.get_or_insert_with("key", || async { creator.slowly().await }).await });
    }
    asking.join_all().await
}

/// Only in memory, without a store.
pub(crate) fn in_memory(clock: &Arc<ManualClock>, options: CacheOptions) -> CacheManager {
    let backend = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
    CacheManager::new(Backend::memory(&backend), options).unwrap()
}
