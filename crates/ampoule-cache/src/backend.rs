//! Where values are: in memory, in a store, or in both.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ampoule_core::{Clock, Error, Store, StoreEvent, StoreKey, SweepReport, Time, Watcher};

use crate::flight::Flights;
use crate::key::{self, Kind};
use crate::marks::Marks;
use crate::memory::{Memory, MemoryKey};
use crate::options::BackendOptions;
use crate::remote::Remote;

/// Where the values of regions are. Cloning it shares it.
///
/// ```
/// use ampoule_cache::{Backend, BackendOptions};
/// use ampoule_core::MemoryStore;
/// use std::sync::Arc;
///
/// let options = BackendOptions::default();
/// let in_memory = Backend::memory(&options);
/// let in_a_store = Backend::store(Arc::new(MemoryStore::default()), &options);
/// let in_both = Backend::tiers(Arc::new(MemoryStore::default()), &options);
/// assert_eq!(in_both.describe(), "memory before memory (lost at restart)");
/// ```
#[derive(Clone)]
pub struct Backend(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) memory: Option<Memory>,
    pub(crate) store: Option<Remote>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) flights: Flights,
    /// Counts clearings; what begins takes the number along.
    moment: AtomicU64,
    removed: Marks,
    cleared: Marks,
    namespaces: Mutex<HashMap<StoreKey, Arc<AtomicU64>>>,
    spaces: Mutex<HashMap<(StoreKey, [u8; 32]), u32>>,
    next_space: AtomicU32,
    watches: AtomicBool,
}

impl Backend {
    /// In the memory of this process alone.
    pub fn memory(options: &BackendOptions) -> Backend {
        Backend::build(Some(Memory::new(options.bounds)), None, options)
    }

    /// In a store, which every read asks: other processes' changes are seen at once.
    pub fn store(store: Arc<dyn Store>, options: &BackendOptions) -> Backend {
        Backend::build(None, Some(store), options)
    }

    /// In memory before a store: values that were lately used are given out without asking the store, for as long as
    /// [`memory_expire`](crate::CacheOptions::memory_expire) allows. Where the store tells of changes
    /// ([`Store::watch`]), a changed value is mostly dropped from memory at once.
    pub fn tiers(store: Arc<dyn Store>, options: &BackendOptions) -> Backend {
        Backend::build(Some(Memory::new(options.bounds)), Some(store), options)
    }

    fn build(memory: Option<Memory>, store: Option<Arc<dyn Store>>, options: &BackendOptions) -> Backend {
        Backend(Arc::new(Inner {
            memory,
            store: store.map(|store| Remote::new(store, options)),
            clock: Arc::clone(&options.clock),
            flights: Flights::default(),
            moment: AtomicU64::new(0),
            removed: Marks::default(),
            cleared: Marks::default(),
            namespaces: Mutex::default(),
            spaces: Mutex::default(),
            next_space: AtomicU32::new(0),
            watches: AtomicBool::new(false),
        }))
    }

    /// What this is, in a few words for the operator; no password.
    pub fn describe(&self) -> String {
        match (&self.0.memory, &self.0.store) {
            (Some(_), Some(remote)) => format!("memory before {}", remote.store().describe()),
            (None, Some(remote)) => remote.store().describe(),
            (_, None) => "memory of this process".to_owned(),
        }
    }

    /// The store as it was given, for tools that look into it; `None` for memory alone.
    pub fn inner_store(&self) -> Option<Arc<dyn Store>> {
        self.0.store.as_ref().map(|remote| Arc::clone(remote.store().inner()))
    }

    /// Makes what carries this tag count no more, in every namespace.
    ///
    /// # Errors
    /// Those of the store: the values may still be given out then.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), Error> {
        self.0.clear(key::tag(tag)).await
    }

    pub(crate) async fn clear_namespace(&self, namespace: &str) -> Result<(), Error> {
        self.0.clear(key::namespace(namespace)).await
    }

    pub(crate) async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        let removed = self.0.memory.as_ref().map_or(0, |memory| memory.sweep(self.0.now()));
        let swept = match &self.0.store {
            Some(remote) => remote.store().sweep(budget).await?,
            None => SweepReport::default(),
        };
        Ok(SweepReport { removed: swept.removed + removed, ..swept })
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The number that what begins now takes along.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.load(Ordering::SeqCst)
    }

    /// A number for the values of one namespace and shape.
    pub(crate) fn space(&self, namespace: StoreKey, shape: [u8; 32]) -> u32 {
        let mut spaces = lock(&self.spaces);
        *spaces.entry((namespace, shape)).or_insert_with(|| self.next_space.fetch_add(1, Ordering::Relaxed))
    }

    /// When a namespace was last cleared.
    pub(crate) fn cleared_at(&self, namespace: StoreKey) -> Arc<AtomicU64> {
        Arc::clone(lock(&self.namespaces).entry(namespace).or_default())
    }

    /// Whether what began at a moment was removed or cleared since.
    pub(crate) fn is_void(&self, entry: StoreKey, namespace: &AtomicU64, tags: &[StoreKey], began: u64) -> bool {
        namespace.load(Ordering::SeqCst) > began
            || self.cleared.any_since(tags, began)
            || self.removed.any_since(&[entry], began)
    }

    /// Whether a value in memory was cleared. It was removed from there if it was removed.
    pub(crate) fn is_cleared(&self, namespace: &AtomicU64, tags: &[StoreKey], began: u64) -> bool {
        namespace.load(Ordering::Acquire) > began || self.cleared.any_since(tags, began)
    }

    /// Forgets a value in this process, and whatever is being made of it; returns the moment.
    pub(crate) fn forget(&self, key: &MemoryKey, entry: StoreKey) -> u64 {
        let moment = self.moment.fetch_add(1, Ordering::SeqCst) + 1;
        self.removed.mark(entry, moment);
        self.flights.leave_behind(key);
        if let Some(memory) = &self.memory {
            memory.remove(key);
        }
        moment
    }

    /// Gives a namespace or a tag a new generation.
    pub(crate) async fn clear(&self, generation: StoreKey) -> Result<(), Error> {
        let done = match &self.store {
            Some(remote) => remote.renew(generation).await,
            None => Ok(()),
        };
        self.clear_here(generation);
        done
    }

    fn clear_here(&self, generation: StoreKey) {
        let moment = self.moment.fetch_add(1, Ordering::SeqCst) + 1;
        match lock(&self.namespaces).get(&generation) {
            Some(namespace) => drop(namespace.fetch_max(moment, Ordering::SeqCst)),
            None => self.cleared.mark(generation, moment),
        }
        self.flights.leave_all_behind();
    }

    fn forget_all(&self) {
        let moment = self.moment.fetch_add(1, Ordering::SeqCst) + 1;
        self.cleared.mark_all(moment);
        self.removed.mark_all(moment);
        for namespace in lock(&self.namespaces).values() {
            namespace.fetch_max(moment, Ordering::SeqCst);
        }
        if let Some(memory) = &self.memory {
            memory.clear();
        }
    }

    /// Begins to listen to what others change, once, where there is memory that it matters to.
    pub(crate) fn listen(self: &Arc<Self>) {
        let (Some(_), Some(remote)) = (&self.memory, &self.store) else { return };
        if self.watches.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(watch) = remote.store().watch() {
            tokio::spawn(follow(Arc::downgrade(self), watch));
        }
    }

    fn learn(&self, changed: StoreEvent) {
        match changed {
            StoreEvent::Key(key) => match key::kind(key) {
                Some(Kind::Entry) => {
                    self.forget(&MemoryKey::new(0, key.as_bytes()), key);
                }
                Some(Kind::Generation) => self.clear_here(key),
                Some(Kind::Lease) | None => {}
            },
            StoreEvent::Unknown => self.forget_all(),
            StoreEvent::Lost => {
                tracing::warn!("the cache's store tells of no changes; memory_expire bounds what is old")
            }
        }
    }
}

async fn follow(backend: Weak<Inner>, mut watch: Box<dyn Watcher>) {
    loop {
        let changed = watch.next().await;
        let Some(backend) = backend.upgrade() else { return };
        backend.learn(changed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backend({})", self.describe())
    }
}

impl std::fmt::Debug for BackendOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendOptions")
            .field("bounds", &self.bounds)
            .field("store_timeout", &self.store_timeout)
            .field("fail_fast_after", &self.fail_fast_after)
            .finish_non_exhaustive()
    }
}
