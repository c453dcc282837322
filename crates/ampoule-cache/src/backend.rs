//! `Backend`: the place of a cache's values: in memory, in a store, or in both.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ampoule_core::internal::{Sweep, Sweeper};
use ampoule_core::{Clock, Error, Store, StoreEvent, StoreKey, SweepReport, Time, Watcher};

use crate::invalidation::InvalidationLog;
use crate::key::{self, Kind};
use crate::memory::{Memory, MemoryKeyRef};
use crate::options::BackendOptions;
use crate::remote::Remote;
use crate::single_flight::SingleFlight;

/// The place of the values of regions. Clones share one backend.
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
    pub(crate) flights: SingleFlight,
    /// Counts invalidations: what begins now records the number, and compares it later.
    moment: AtomicU64,
    values: InvalidationLog,
    tags: InvalidationLog,
    namespaces: InvalidationLog,
    is_listening: AtomicBool,
    sweeper: Sweeper,
    /// The task that sweeps; `None` if no task can run.
    sweep_interval: Option<Duration>,
}

impl Backend {
    /// Creates a backend in the memory of this process alone.
    ///
    /// ```
    /// use ampoule_cache::{Backend, BackendOptions};
    ///
    /// let backend = Backend::memory(&BackendOptions::default());
    /// assert_eq!(backend.describe(), "memory of this process");
    /// ```
    pub fn memory(options: &BackendOptions) -> Backend {
        Backend::build(Some(Memory::new(options.bounds)), None, options)
    }

    /// Creates a backend in a store. Every read is a read of the store, so changes by other processes are seen at once.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    /// use ampoule_core::MemoryStore;
    ///
    /// let store = Arc::new(MemoryStore::default()); // In production a store that all processes share.
    /// let manager = CacheManager::new(Backend::store(store, &BackendOptions::default()), CacheOptions::default())?;
    /// manager.cache::<u32>("prices").insert("tea", 4).await?;
    /// assert_eq!(manager.cache::<u32>("prices").get("tea").await, Some(4));
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    pub fn store(store: Arc<dyn Store>, options: &BackendOptions) -> Backend {
        Backend::build(None, Some(store), options)
    }

    /// Creates a backend with memory before a store: recently used values are returned without a read of the store, for
    /// as long as [`memory_expire`](crate::CacheOptions::memory_expire) allows. If the store reports changes
    /// ([`Store::watch`]), a changed value is usually dropped from memory at once.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    /// use ampoule_core::MemoryStore;
    ///
    /// let store = Arc::new(MemoryStore::default()); // In production a store that all processes share.
    /// let manager = CacheManager::new(Backend::tiers(store, &BackendOptions::default()), CacheOptions::default())?;
    /// assert!(manager.describe().starts_with("memory before "), "{}", manager.describe());
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    pub fn tiers(store: Arc<dyn Store>, options: &BackendOptions) -> Backend {
        Backend::build(Some(Memory::new(options.bounds)), Some(store), options)
    }

    fn build(memory: Option<Memory>, store: Option<Arc<dyn Store>>, options: &BackendOptions) -> Backend {
        Backend(Arc::new(Inner {
            memory,
            store: store.map(|store| Remote::new(store, options)),
            clock: Arc::clone(&options.clock),
            flights: SingleFlight::default(),
            moment: AtomicU64::new(0),
            values: InvalidationLog::default(),
            tags: InvalidationLog::default(),
            namespaces: InvalidationLog::default(),
            is_listening: AtomicBool::new(false),
            sweeper: Sweeper::default(),
            // Without a timer the task could not wait.
            sweep_interval: options.sweep_interval.filter(|_| options.store_timeout.is_some()),
        }))
    }

    /// Returns the kind of the backend, in a few words for the operator, without a password.
    pub fn describe(&self) -> String {
        match (&self.0.memory, &self.0.store) {
            (Some(_), Some(remote)) => format!("memory before {}", remote.store().describe()),
            (None, Some(remote)) => remote.store().describe(),
            (_, None) => "memory of this process".to_owned(),
        }
    }

    /// Returns the store that was given, for tools that read it; `None` for memory alone.
    pub fn inner_store(&self) -> Option<Arc<dyn Store>> {
        self.0.store.as_ref().map(|remote| Arc::clone(remote.store().inner()))
    }

    /// Invalidates all values with this tag, in every namespace.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    ///
    /// let backend = Backend::memory(&BackendOptions::default());
    /// let prices = CacheManager::new(backend.clone(), CacheOptions::default())?.cache::<u32>("prices");
    /// prices.entry("tea").tags(["drinks"]).insert(4).await?;
    /// backend.invalidate_tag("drinks").await?;
    /// assert_eq!(prices.get("tea").await, None);
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Errors of the store: the values may then still be returned.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), Error> {
        self.0.clear(key::tag(tag)).await
    }

    pub(crate) async fn clear_namespace(&self, namespace: &str) -> Result<(), Error> {
        self.0.clear(key::namespace(namespace)).await
    }

    pub(crate) async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.0.sweep(budget).await
    }
}

impl Sweep for Inner {
    fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    fn name(&self) -> &str {
        "cache"
    }

    async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        let removed = self.memory.as_ref().map_or(0, |memory| memory.sweep(self.now()));
        let swept = match &self.store {
            Some(remote) => remote.store().sweep(budget).await?,
            None => SweepReport::default(),
        };
        Ok(SweepReport { removed: swept.removed + removed, ..swept })
    }
}

impl Inner {
    /// Starts the sweeper's task, if it is not running.
    pub(crate) fn start_sweeping(self: &Arc<Self>) {
        if let Some(interval) = self.sweep_interval {
            Sweeper::start(self, interval);
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The present number of invalidations.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.load(Ordering::SeqCst)
    }

    fn next_moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether the value's key was invalidated since `began`.
    pub(crate) fn is_removed(&self, entry: StoreKey, began: u64) -> bool {
        self.values.any_since([&entry], began)
    }

    /// Whether the value's namespace or one of its tags was invalidated since `began`.
    pub(crate) fn is_invalidated(&self, namespace: StoreKey, tags: &[StoreKey], began: u64) -> bool {
        self.namespaces.any_since([&namespace], began) || self.tags.any_since(tags, began)
    }

    /// Removes a value from this process, and discards a creation in progress; returns the number of the invalidation.
    pub(crate) fn forget(&self, key: MemoryKeyRef<'_>, entry: StoreKey) -> u64 {
        let moment = self.next_moment();
        self.values.add(entry, moment);
        self.flights.forget(&key.to_owned());
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
        match key::kind(generation) {
            Some(Kind::Namespace) => self.namespaces.add(generation, self.next_moment()),
            _ => self.tags.add(generation, self.next_moment()),
        }
        self.flights.forget_all();
    }

    fn forget_everything(&self) {
        let moment = self.next_moment();
        for log in [&self.values, &self.tags, &self.namespaces] {
            log.add_all(moment);
        }
        if let Some(memory) = &self.memory {
            memory.clear();
        }
    }

    /// Starts to follow the store's changes, once, if there is memory before the store.
    pub(crate) fn listen(self: &Arc<Self>) {
        let (Some(_), Some(remote)) = (&self.memory, &self.store) else { return };
        if self.is_listening.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(watch) = remote.store().watch() {
            tokio::spawn(follow(Arc::downgrade(self), watch));
        }
    }

    fn handle_event(&self, changed: StoreEvent) {
        match changed {
            StoreEvent::Key(key) => match key::kind(key) {
                Some(Kind::Entry) => {
                    self.forget(MemoryKeyRef::of(&key), key);
                }
                Some(Kind::Namespace | Kind::Tag) => self.clear_here(key),
                Some(Kind::Lease | Kind::Rate) | None => {}
            },
            StoreEvent::Unknown => self.forget_everything(),
            StoreEvent::Lost => {
                tracing::warn!("the cache's store reports no changes; memory_expire bounds the age of values in memory")
            }
        }
    }
}

async fn follow(backend: Weak<Inner>, mut watch: Box<dyn Watcher>) {
    loop {
        let changed = watch.next().await;
        let Some(backend) = backend.upgrade() else { return };
        backend.handle_event(changed);
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backend({})", self.describe())
    }
}
