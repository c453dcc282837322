//! `GuardedStore`: wraps every operation of a store.

mod breaker;
pub(crate) mod observe;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tracing::{Instrument, Span};

use self::breaker::{CircuitBreaker, Permit};
use self::observe::Timer;
use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::{StoreKey, Tag};
use crate::reply::Reply;
use crate::store::{Entry, Page, PutMode, PutResult, Store, Stored, SweepReport, Version, Watcher};

/// A store with a time limit, a circuit breaker, spans and counters around each operation: an outage becomes an error
/// within the limit.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ampoule_core::internal::GuardedStore;
/// use ampoule_core::{MemoryStore, Store, StoreKey};
///
/// let store = Arc::new(MemoryStore::default());
/// let store = GuardedStore::new(store, "session store", Some(Duration::from_secs(1)), 5);
/// assert_eq!(store.get(StoreKey::new([7; 32])).await?, None);
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
///
/// # Time limit
/// An operation that takes longer is dropped and returns [`ErrorKind::Timeout`]: a write may or may not have happened.
/// This needs a tokio runtime with a timer, unless the store answers at once. The limit of [`Store::ping`] is for its
/// three steps together.
///
/// # Circuit breaker
/// Reads (`get`, `keys_with_tag`, `scan`) and writes (`put`, `touch`, `delete`, `sweep`) have separate circuits, since
/// a store whose disk is full, or that has lost its primary, can still read.
///
/// | state | what happens |
/// |---|---|
/// | closed | Every operation is tried. After `threshold` consecutive failures the circuit opens. |
/// | open | Operations are refused with [`ErrorKind::Unavailable`] for a second. Then the circuit is half-open. |
/// | half-open | 8 operations a second are tried, the others are refused. The first answer closes the circuit, or opens it again. |
///
/// Only [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] are failures. A reply that is dropped does not count, and
/// in the half-open state another operation is tried in its place; a caller that starts more than 8 operations at once
/// should therefore await them all, even if one is refused. The log has a warning when a circuit opens, and a line at
/// level info when it closes.
///
/// [`Store::ping`] is always tried, and neither opens nor closes a circuit: a health check must reach the store itself.
///
/// # Spans and metrics
/// Each operation is a span `store` at level debug, with the fields `operation` and, if it has one, `key`, the first 8
/// characters of the key. With the feature `metrics` the recorder of the crate `metrics` receives:
///
/// | name | kind | labels |
/// |---|---|---|
/// | `ampoule_store_operations` | counter | `operation`: get, put, touch, delete, keys_with_tag, scan, sweep, ping; `outcome`: ok, unavailable, timeout, …; `store` |
/// | `ampoule_store_seconds` | histogram of the time to the answer | `operation`, `store` |
/// | `ampoule_store_refusals` | counter of operations that an open circuit refused | `operation`, `store` |
/// | `ampoule_swept` | counter of expired values that a sweep removed | `store` |
///
/// The label `store` is the `name` of the guarded store.
///
/// # What it costs
/// An operation that the store answers at once costs a few atomic loads while the circuit is closed and no subscriber
/// records spans of level debug: no lock, no timer and no heap allocation. (Counters allocate a key each.)
pub struct GuardedStore {
    store: Arc<dyn Store>,
    name: &'static str,
    limit: Option<Duration>,
    reads: CircuitBreaker,
    writes: CircuitBreaker,
}

impl GuardedStore {
    /// Wraps a store. `name` is its name in messages, such as "session store". `limit` is the time limit of one
    /// operation, `None` for the store's own limits alone. `threshold` is how many consecutive failures open a circuit,
    /// 0 for never.
    pub fn new(store: Arc<dyn Store>, name: &'static str, limit: Option<Duration>, threshold: usize) -> GuardedStore {
        let circuit = |operations| CircuitBreaker::new(name, operations, threshold);
        GuardedStore { store, name, limit, reads: circuit("reads"), writes: circuit("writes") }
    }

    /// Returns the store inside.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn guarded<'a, T: Send + 'a>(
        &'a self,
        circuit: &'a CircuitBreaker,
        operation: &'static str,
        key: Option<StoreKey>,
        call: impl FnOnce(&'a dyn Store) -> Reply<'a, T>,
    ) -> Reply<'a, T> {
        match circuit.admit() {
            Ok(permit) => self.run(Some(permit), operation, key, call),
            Err(open) => {
                observe::refused(self.name, operation);
                Reply::ready(Err(open))
            }
        }
    }

    fn run<'a, T: Send + 'a>(
        &'a self,
        permit: Option<Permit<'a>>,
        operation: &'static str,
        key: Option<StoreKey>,
        call: impl FnOnce(&'a dyn Store) -> Reply<'a, T>,
    ) -> Reply<'a, T> {
        let pending = PendingCall { name: self.name, operation, permit, timer: Timer::start() };
        let span = observe::span(operation, key);
        let reply = match &span {
            None => call(&*self.store),
            Some(span) => span.in_scope(|| call(&*self.store)),
        };
        match reply.try_now() {
            Ok(answer) => Reply::ready(pending.finish(answer)),
            Err(later) => {
                let answer = async move { pending.finish(self.with_time_limit(later).await) };
                Reply::new(answer.instrument(span.unwrap_or_else(Span::none)))
            }
        }
    }

    /// An answer that comes when the reply is first polled, as from a database in this process, sets no timer.
    async fn with_time_limit<T>(&self, mut reply: Reply<'_, T>) -> Result<T, Error> {
        let Some(limit) = self.limit else { return reply.await };
        let mut deadline = pin!(None);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut reply).poll(cx) {
                return Poll::Ready(answer);
            }
            if deadline.is_none() {
                deadline.set(Some(tokio::time::sleep(limit)));
            }
            let is_over = deadline.as_mut().as_pin_mut().is_some_and(|deadline| deadline.poll(cx).is_ready());
            if is_over { Poll::Ready(Err(self.timeout_error(limit))) } else { Poll::Pending }
        })
        .await
    }

    fn timeout_error(&self, limit: Duration) -> Error {
        Error::new(ErrorKind::Timeout, format!("{}: no answer within {limit:?} (store_timeout)", self.name))
    }
}

/// An operation in progress. If it is dropped, it is not counted.
struct PendingCall<'a> {
    name: &'static str,
    operation: &'static str,
    permit: Option<Permit<'a>>,
    timer: Timer,
}

impl PendingCall<'_> {
    fn finish<T>(self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Some(permit) = self.permit {
            permit.record(&answer);
        }
        self.timer.stop(self.name, self.operation, &answer);
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for GuardedStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.guarded(&self.reads, "get", Some(key), |store| store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.guarded(&self.writes, "put", Some(key), |store| store.put(key, entry, mode))
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.guarded(&self.writes, "put", Some(key), |store| store.put_evictable(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.guarded(&self.writes, "touch", Some(key), |store| store.touch(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.guarded(&self.writes, "delete", Some(key), |store| store.delete(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.guarded(&self.reads, "keys_with_tag", None, |store| store.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.guarded(&self.reads, "scan", None, |store| store.scan(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        let count = |report: &SweepReport| observe::swept(self.name, report.removed);
        self.guarded(&self.writes, "sweep", None, |store| store.sweep(budget)).map(move |answer| answer.inspect(count))
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.run(None, "ping", None, |store| store.ping())
    }

    fn describe(&self) -> String {
        self.store.describe()
    }

    fn watch(&self) -> Option<Box<dyn Watcher>> {
        self.store.watch()
    }
}

impl fmt::Debug for GuardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedStore({}: {})", self.name, self.describe())
    }
}
