//! A store around the site's store that records each request's trips, and during a simulated outage refuses all
//! operations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampoule::store::{Entry, Page, PutMode, PutResult, Reply, StoreKey, Stored, Tag, Version};
use ampoule::{Error, ErrorKind, Store, SweepReport, Time};

tokio::task_local! {
    /// The trips of the current request.
    pub(super) static TRIPS: Trips;
}

/// The trips of one request to the store, in the order of their ends.
#[derive(Clone, Default)]
pub(super) struct Trips(Arc<Mutex<Vec<Trip>>>);

/// One operation of the store.
#[derive(Clone, Copy)]
pub(crate) struct Trip {
    pub(crate) operation: &'static str,
    pub(crate) took: Duration,
}

impl Trips {
    pub(super) fn so_far(&self) -> Vec<Trip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, operation: &'static str, began: Instant) {
        let trip = Trip { operation, took: began.elapsed() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trip);
    }
}

pub(super) struct TracedStore {
    pub(super) store: Arc<dyn Store>,
    /// Whether it refuses all operations, as an unreachable store does.
    pub(super) is_away: bool,
}

impl TracedStore {
    fn trace<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        call: impl FnOnce(&'a dyn Store) -> Reply<'a, T>,
    ) -> Reply<'a, T> {
        let (began, trips) = (Instant::now(), TRIPS.try_with(Clone::clone).ok());
        let reply = if self.is_away { Reply::ready(Err(away())) } else { call(&*self.store) };
        reply.map(move |answer| {
            trips.iter().for_each(|trips| trips.note(operation, began));
            answer
        })
    }
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "a visitor of the demo started a simulated outage of ten seconds")
}

/// Without `watch`: the demo has no streams that follow a session.
impl Store for TracedStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.trace("get", |store| store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.trace("put", |store| store.put(key, entry, mode))
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.trace("put", |store| store.put_evictable(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.trace("touch", |store| store.touch(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.trace("delete", |store| store.delete(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.trace("keys_with_tag", |store| store.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.trace("scan", |store| store.scan(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.trace("sweep", |store| store.sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.trace("ping", |store| store.ping())
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
