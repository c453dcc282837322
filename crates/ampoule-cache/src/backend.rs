//! Where values are: in memory, in a store, or in both.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ampoule_core::{
    Changed, Clock, Error, ErrorKind, Guard, MemoryBounds, Outcome, Put, Reply, Store, StoreKey, Stored, Swept,
    SystemClock, Time, Watch,
};
use futures_util::future::try_join_all;

use crate::flight::Flights;
use crate::format::{Generation, Record};
use crate::key::{self, Kind};
use crate::marks::Marks;
use crate::memory::{Memory, MemoryKey};

/// How long the mark of a removed value stays. A creator who takes longer than this does not keep his value.
pub(crate) const REMOVED: Duration = Duration::from_secs(300);

/// How often a namespace that is just being cleared is looked at again.
const ATTEMPTS: u32 = 16;

/// How a [`Backend`] works.
#[derive(Clone)]
pub struct BackendOptions {
    /// How much memory holds at most, where there is memory: by default 100,000 values and 64 MiB. Beyond it what is
    /// used least is forgotten.
    pub bounds: MemoryBounds,
    /// The limit on each operation of a store: a second by default.
    pub store_timeout: Option<Duration>,
    /// After so many failures of the store in a row, 5 by default, it is left alone for a second. 0 for never.
    pub fail_fast_after: usize,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for BackendOptions {
    fn default() -> BackendOptions {
        BackendOptions {
            bounds: MemoryBounds { entries: 100_000, bytes: 64 << 20 },
            store_timeout: Some(Duration::from_secs(1)),
            fail_fast_after: 5,
            clock: Arc::new(SystemClock),
        }
    }
}

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
        let guard = Guard::new("cache store", options.store_timeout, options.fail_fast_after);
        Backend(Arc::new(Inner {
            memory,
            store: store.map(|store| Remote { store, guard }),
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
            (Some(_), Some(remote)) => format!("memory before {}", remote.store.describe()),
            (None, Some(remote)) => remote.store.describe(),
            (_, None) => "memory of this process".to_owned(),
        }
    }

    /// The store, for tools that look into it; `None` for memory alone.
    pub fn inner_store(&self) -> Option<Arc<dyn Store>> {
        self.0.store.as_ref().map(|remote| Arc::clone(&remote.store))
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

    pub(crate) async fn sweep(&self, budget: usize) -> Result<Swept, Error> {
        let removed = self.0.memory.as_ref().map_or(0, |memory| memory.sweep(self.0.now()));
        let swept = match &self.0.store {
            Some(remote) => remote.call(|store| store.sweep(budget)).await?,
            None => Swept::default(),
        };
        Ok(Swept { removed: swept.removed + removed, ..swept })
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
            Some(remote) => remote.renew(generation, self.now()).await,
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
        if let Some(watch) = remote.store.watch() {
            tokio::spawn(follow(Arc::downgrade(self), watch));
        }
    }

    fn learn(&self, changed: Changed) {
        match changed {
            Changed::Key(key) => match key::kind(key) {
                Some(Kind::Entry) => {
                    self.forget(&MemoryKey::new(0, key.as_bytes()), key);
                }
                Some(Kind::Generation) => self.clear_here(key),
                Some(Kind::Lease) | None => {}
            },
            Changed::Unknown => self.forget_all(),
            Changed::Lost => tracing::warn!("the cache's store tells of no changes; memory_expire bounds what is old"),
        }
    }
}

async fn follow(backend: Weak<Inner>, mut watch: Box<dyn Watch>) {
    loop {
        let changed = watch.next().await;
        let Some(backend) = backend.upgrade() else { return };
        backend.learn(changed);
    }
}

/// A store with its limits.
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn Store>,
    guard: Guard,
}

impl Remote {
    /// Whether the store may be asked. To be called once before what is asked at the same time: after failures one
    /// caller may try, and of two questions the second would be refused and take the first with it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while it rests.
    pub(crate) fn admit(&self) -> Result<(), Error> {
        self.guard.admit()
    }

    async fn call<'a, T: Send + 'a>(&'a self, ask: impl FnOnce(&'a dyn Store) -> Reply<'a, T>) -> Result<T, Error> {
        self.admit()?;
        self.guard.run(ask(&*self.store)).await
    }

    /// To be admitted before.
    pub(crate) async fn get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        self.guard.run(self.store.get(key)).await
    }

    pub(crate) async fn put(
        &self,
        key: StoreKey,
        value: ampoule_core::Bytes,
        deadline: Time,
        when: Put,
    ) -> Result<Outcome, Error> {
        let entry = ampoule_core::Entry { value, deadline, tag: None };
        self.call(|store| store.put(key, entry, when)).await
    }

    /// The generation of a namespace or a tag, if there is one. To be admitted before.
    pub(crate) async fn generation(&self, key: StoreKey) -> Result<Option<Generation>, Error> {
        Ok(self.get(key).await?.and_then(|stored| Generation::try_from(&*stored.value).ok()))
    }

    /// The generations of all of these, made where there is none. They outlive what is stored until `until`.
    pub(crate) async fn generations(
        &self,
        keys: &[StoreKey],
        now: Time,
        until: Time,
    ) -> Result<Vec<Generation>, Error> {
        self.admit()?;
        try_join_all(keys.iter().map(|key| self.lasting_generation(*key, now, until))).await
    }

    async fn lasting_generation(&self, key: StoreKey, now: Time, until: Time) -> Result<Generation, Error> {
        let deadline = until + until.since(now) + Duration::from_secs(3_600);
        for _ in 0..ATTEMPTS {
            let found = self.get(key).await?;
            match found.map(|stored| (Generation::try_from(&*stored.value), stored)) {
                Some((Ok(generation), stored)) => {
                    if stored.deadline >= until || self.guard.run(self.store.touch(key, deadline)).await? {
                        return Ok(generation);
                    }
                }
                // What cannot be one is replaced, in the version that was read.
                Some((Err(_), stored)) => {
                    self.offer(key, deadline, Put::Replace(stored.version)).await?;
                }
                None => {
                    self.offer(key, deadline, Put::Create).await?;
                }
            }
        }
        let message = format!("others changed what a namespace or a tag is known by, {ATTEMPTS} times");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Puts a fresh generation there if nobody else is faster.
    async fn offer(&self, key: StoreKey, deadline: Time, when: Put) -> Result<(), Error> {
        let entry = ampoule_core::Entry { value: fresh_generation()?, deadline, tag: None };
        self.guard.run(self.store.put(key, entry, when)).await.map(drop)
    }

    async fn renew(&self, key: StoreKey, now: Time) -> Result<(), Error> {
        let deadline = now + Duration::from_secs(86_400);
        self.put(key, fresh_generation()?, deadline, Put::Always).await.map(drop)
    }

    /// Marks a value as removed, so that who is creating it does not put it back.
    pub(crate) async fn remove(&self, key: StoreKey, now: Time) -> Result<(), Error> {
        self.put(key, Record::Removed.encode(), now + REMOVED, Put::Always).await.map(drop)
    }
}

fn fresh_generation() -> Result<ampoule_core::Bytes, Error> {
    let mut generation = Generation::default();
    getrandom::fill(&mut generation).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").because(cause.to_string())
    })?;
    Ok(ampoule_core::Bytes::copy_from_slice(&generation))
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
