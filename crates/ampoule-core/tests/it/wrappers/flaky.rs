//! A memory store that fails on demand.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{
    Entry, Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Page, PutMode, PutResult, Reply, Store,
    StoreEvent, StoreKey, Stored, SweepReport, Tag, Time, Version, Watcher,
};

/// How operations answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// At once.
    Answers,
    /// When the reply is polled.
    AnswersWhenPolled,
    /// When the reply is polled the second time.
    AnswersLater,
    /// With an error of this kind, at once.
    Fails(ErrorKind),
    /// Never.
    Hangs,
}

pub(crate) struct FlakyStore {
    store: MemoryStore,
    pub(crate) clock: Arc<ManualClock>,
    /// The behaviour of reads and of writes.
    behaviours: Mutex<[Behaviour; 2]>,
    /// The number of operations that were called.
    calls: AtomicUsize,
}

impl FlakyStore {
    pub(crate) fn new(behaviour: Behaviour) -> FlakyStore {
        let clock = Arc::new(ManualClock::default());
        let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
        FlakyStore { store, clock, behaviours: Mutex::new([behaviour; 2]), calls: AtomicUsize::new(0) }
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviours.lock().unwrap() = [behaviour; 2];
    }

    pub(crate) fn set_writes(&self, behaviour: Behaviour) {
        self.behaviours.lock().unwrap()[1] = behaviour;
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn read<'a, T: Send + 'a>(&'a self, reply: Reply<'a, T>) -> Reply<'a, T> {
        self.answer(0, reply)
    }

    fn write<'a, T: Send + 'a>(&'a self, reply: Reply<'a, T>) -> Reply<'a, T> {
        self.answer(1, reply)
    }

    fn answer<'a, T: Send + 'a>(&'a self, group: usize, reply: Reply<'a, T>) -> Reply<'a, T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.behaviours.lock().unwrap()[group] {
            Behaviour::Answers => reply,
            Behaviour::AnswersWhenPolled => Reply::new(reply),
            Behaviour::AnswersLater => Reply::new(async {
                tokio::task::yield_now().await;
                reply.await
            }),
            Behaviour::Fails(kind) => Reply::ready(Err(Error::new(kind, "a simulated failure"))),
            Behaviour::Hangs => Reply::new(pending()),
        }
    }
}

impl Store for FlakyStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.read(self.store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.write(self.store.put(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.write(self.store.touch(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.write(self.store.delete(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.read(self.store.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.read(self.store.scan(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.write(self.store.sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.read(self.store.ping())
    }

    fn describe(&self) -> String {
        "flaky".to_owned()
    }

    fn watch(&self) -> Option<Box<dyn Watcher>> {
        Some(Box::new(OneEvent))
    }
}

/// Reports the same event repeatedly.
struct OneEvent;

impl Watcher for OneEvent {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>> {
        Box::pin(async { StoreEvent::Lost })
    }
}
