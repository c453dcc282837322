//! A store like one on a server: it answers later, has its own clock, and runs events between two operations.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{
    Entry, Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Page, PutMode, PutResult, Reply, Store, StoreKey,
    Stored, SweepReport, Tag, Time, Version,
};

type Event = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Scripted {
    store: MemoryStore,
    pub(crate) clock: Arc<ManualClock>,
    is_down: AtomicBool,
    loses_a_put: AtomicBool,
    touches: AtomicUsize,
    before_put: Mutex<Option<Event>>,
    before_touch: Mutex<Option<Event>>,
}

impl Default for Scripted {
    fn default() -> Scripted {
        let clock = Arc::new(ManualClock::default());
        let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
        let (is_down, loses_a_put, touches, before_put, before_touch) = Default::default();
        Scripted { store, clock, is_down, loses_a_put, touches, before_put, before_touch }
    }
}

impl Scripted {
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The next put is not done, and its outcome is unknown to the caller.
    pub(crate) fn lose_a_put(&self) {
        self.loses_a_put.store(true, Ordering::SeqCst);
    }

    /// The number of touches so far.
    pub(crate) fn touches(&self) -> usize {
        self.touches.load(Ordering::SeqCst)
    }

    /// Runs an event before the next put.
    pub(crate) fn before_put(&self, event: impl Future<Output = ()> + Send + 'static) {
        *self.before_put.lock().unwrap() = Some(Box::pin(event));
    }

    /// Runs an event before the next touch.
    pub(crate) fn before_touch(&self, event: impl Future<Output = ()> + Send + 'static) {
        *self.before_touch.lock().unwrap() = Some(Box::pin(event));
    }

    fn later<'a, T: Send + 'a>(
        &'a self,
        before: Option<&'a Mutex<Option<Event>>>,
        answer: impl FnOnce() -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        Reply::new(async move {
            tokio::task::yield_now().await;
            if self.is_down.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Unavailable, "the server is down"));
            }
            let event = before.and_then(|before| before.lock().unwrap().take());
            if let Some(event) = event {
                event.await;
            }
            answer().await
        })
    }
}

impl Store for Scripted {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.later(None, move || self.store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.later(Some(&self.before_put), move || match self.loses_a_put.swap(false, Ordering::SeqCst) {
            true => Reply::ready(Err(Error::new(ErrorKind::Timeout, "the connection broke twice"))),
            false => self.store.put(key, entry, mode),
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.touches.fetch_add(1, Ordering::SeqCst);
        self.later(Some(&self.before_touch), move || self.store.touch(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.later(None, move || self.store.delete(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.later(None, move || self.store.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.later(None, move || self.store.scan(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.later(None, move || self.store.sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.later(None, move || self.store.ping())
    }

    fn describe(&self) -> String {
        "scripted".to_owned()
    }
}
