//! What a store must do: the smallest contract on which the promises can be built.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::{StoreKey, Tag};
use crate::reply::Reply;

/// Opaque values under opaque keys, each with a version and a deadline.
///
/// A store is used as `Arc<dyn Store>`, so no handler is generic over it. Nine methods are required, and
/// [`put`](Store::put) carries the promises of a session: it writes only if the key is absent, or has the version that the
/// caller has read. A whole store, on a map:
///
/// ```
/// use std::{collections::BTreeMap, ops::Bound, sync::{Arc, Mutex, MutexGuard}, time::Duration};
/// use ampoule_core::{Clock, Entry, Page, PutMode, PutResult, Reply, Store, StoreKey};
/// use ampoule_core::{Stored, SweepReport, Tag, Time, Version, write_and_read_back};
///
/// type Rows = BTreeMap<StoreKey, (Stored, Option<Tag>)>;
///
/// struct MapStore { clock: Arc<dyn Clock>, rows: Mutex<Rows> }
///
/// impl MapStore {
///     fn rows(&self) -> (MutexGuard<'_, Rows>, Time) {
///         (self.rows.lock().unwrap(), self.clock.now())
///     }
/// }
///
/// fn live(rows: &Rows, key: StoreKey, now: Time) -> Option<&Stored> {
///     rows.get(&key).map(|(stored, _)| stored).filter(|stored| stored.deadline > now)
/// }
///
/// impl Store for MapStore {
///     fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
///         let (rows, now) = self.rows();
///         Reply::ready(Ok(live(&rows, key, now).cloned()))
///     }
///     fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
///         let (mut rows, now) = self.rows();
///         let found = live(&rows, key, now).map(|stored| stored.version);
///         let is_allowed = match mode {
///             PutMode::Create => found.is_none(),
///             PutMode::Replace(version) => found == Some(version),
///             PutMode::Always => true,
///         };
///         if !is_allowed {
///             return Reply::ready(Ok(PutResult::Conflict));
///         }
///         let Entry { value, lifetime, tag } = entry;
///         Reply::ready(Version::random().map(|version| {
///             rows.remove(&key);
///             if lifetime >= Duration::from_millis(1) {
///                 rows.insert(key, (Stored { value, version, deadline: now + lifetime }, tag));
///             }
///             PutResult::Stored(version)
///         }))
///     }
///     fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
///         let (mut rows, now) = self.rows();
///         let holds = live(&rows, key, now).is_some_and(|stored| stored.version == version);
///         if let Some((stored, _)) = rows.get_mut(&key).filter(|_| holds) {
///             stored.deadline = stored.deadline.max(now + lifetime);
///         }
///         Reply::ready(Ok(holds))
///     }
///     fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
///         let (mut rows, now) = self.rows();
///         let was_there = live(&rows, key, now).is_some();
///         rows.remove(&key);
///         Reply::ready(Ok(was_there))
///     }
///     fn keys_with_tag(&self, wanted: Tag) -> Reply<'_, Vec<StoreKey>> {
///         let (rows, now) = self.rows();
///         let found = rows.iter().filter(|(_, (stored, tag))| *tag == Some(wanted) && stored.deadline > now);
///         Reply::ready(Ok(found.map(|(key, _)| *key).collect()))
///     }
///     fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
///         Reply::ready(Page::last_key(cursor).map(|last| {
///             let (rows, after) = (self.rows().0, last.map_or(Bound::Unbounded, Bound::Excluded));
///             let keys = rows.range((after, Bound::Unbounded)).map(|(key, _)| *key).take(budget.max(1));
///             Page::ordered(keys.collect(), budget.max(1))
///         }))
///     }
///     fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
///         let (mut rows, now) = self.rows();
///         let expired = rows.iter().filter(|(_, (stored, _))| stored.deadline <= now).map(|(key, _)| *key);
///         let expired: Vec<StoreKey> = expired.take(budget).collect();
///         expired.iter().for_each(|key| drop(rows.remove(key)));
///         Reply::ready(Ok(SweepReport { removed: expired.len() as u64, more: expired.len() == budget }))
///     }
///     fn ping(&self) -> Reply<'_, Time> {
///         Reply::new(async { write_and_read_back(self).await.map(|()| self.clock.now()) })
///     }
///     fn describe(&self) -> String {
///         "a map (lost at restart)".to_owned()
///     }
/// }
///
/// // Its test: the feature `conformance` of this crate has a check for every rule of the contract.
/// # #[cfg(feature = "conformance")]
/// async fn map_store_conforms() { // as #[tokio::test(flavor = "multi_thread")]
///     use ampoule_core::{ManualClock, conformance::{Subject, assert_conforms}};
///
///     assert_conforms(|| {
///         let clock = Arc::new(ManualClock::default());
///         let store = MapStore { clock: clock.clone(), rows: Mutex::default() };
///         Subject { many_keys: 1_000, ..Subject::new(Arc::new(store), Some(clock)) }
///     })
///     .await;
/// }
/// # #[cfg(feature = "conformance")]
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(map_store_conforms());
/// ```
///
/// [`assert_conforms`](https://docs.rs/ampoule-core/latest/ampoule_core/conformance/fn.assert_conforms.html) prints the name of
/// each rule that is broken.
///
/// # The contract
///
/// - **One writer wins.** [`PutMode::Create`] and [`PutMode::Replace`] compare and write in one step: of any number of
///   callers in any number of processes that replace one version, exactly one succeeds.
/// - **Versions never come back.** No version of a key is used twice, even when the key is deleted and created again, so that
///   a slow writer can never replace a value that it has not read.
/// - **The store's clock decides.** Callers say how long a value lives, never until when. The deadline is the store's present
///   time plus the lifetime, and from then on the value is absent for every method, whether or not it has been swept. A
///   value that is put with a lifetime of less than a millisecond is absent at once, and so is the one that it replaced:
///   this removes one version and no other.
/// - **An unknown outcome is `Timeout`.** A driver may send a write again after a broken connection, and then find neither
///   the version that it expected nor its own. It must return [`ErrorKind::Timeout`], since the first write may have been
///   done, and replaced since. If it finds its own version, the write is done.
/// - **Whole or not at all.** A reader sees a value as one writer wrote it. A damaged value is [`ErrorKind::Corrupt`], never
///   absent.
/// - **Cancelling is safe.** A [`Reply`] that is dropped leaves its operation done or not done, and the store usable.
/// - **Nothing blocks.** A store may do its work when the method is called, and return a ready answer, or when the reply is
///   awaited. Work that would block the thread is done in neither.
/// - **Absence and conflict are answers**, not errors.
///
/// A store must limit the time of its own operations where its driver can hang; callers add a limit of their own.
pub trait Store: Send + Sync {
    /// Returns the value under `key`, or `None` if the key is absent or its deadline has passed.
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>>;

    /// Writes `entry` under `key` if `mode` allows it, and returns the new version.
    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult>;

    /// As [`put`](Store::put), of a value that a full store may remove before its deadline, when it needs the room for
    /// another. A later [`put`](Store::put) of the key ends that. The default is [`put`](Store::put): only a store that
    /// refuses values when it is full has a use for it.
    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.put(key, entry, mode)
    }

    /// Moves the deadline of `key` to `lifetime` from now if the key has this version, and changes nothing else: neither
    /// value nor version. Never moves it to an earlier moment, so of two touches of one version the later deadline stays.
    /// Returns whether the key had the version.
    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool>;

    /// Removes `key`. Returns whether it was there.
    fn delete(&self, key: StoreKey) -> Reply<'_, bool>;

    /// Returns the keys that were last put with `tag` and are still there, in no order.
    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>>;

    /// Returns some of the keys: from the beginning, or from the cursor of an earlier [`Page`]. For tools that read all keys.
    ///
    /// A caller that follows [`Page::next`] to the end has seen every key that was there the whole time, at least once;
    /// keys that came or went meanwhile, or that have expired, may be among them. A page has about `budget` keys, and
    /// may have none though more follow. Other writers are not held up.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a cursor that this store did not return.
    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page>;

    /// Frees expired values, reading about `budget` values at most. A store whose engine does that by itself has nothing
    /// to do. Several processes may sweep one store at once.
    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport>;

    /// Writes a value under a random key, reads it back and removes it, and returns the store's present time: for health
    /// checks, and to find out whether its clock and the caller's differ. [`write_and_read_back`] does the first part.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Corrupt`] if what is read is not what was written.
    fn ping(&self) -> Reply<'_, Time>;

    /// Returns the store's kind and place in a few words for the operator, such as "memory (lost at restart)". It must
    /// contain no password.
    fn describe(&self) -> String;

    /// Reports what others change, from now on, to a caller that keeps copies in memory. `None` from a store that cannot
    /// tell, which is the default.
    fn watch(&self) -> Option<Box<dyn Watcher>> {
        None
    }
}

/// What [`Store::watch`] returns.
pub trait Watcher: Send {
    /// Waits for the next change. It never ends by itself, and connects again when it must; the first event is
    /// [`StoreEvent::Unknown`], when it has begun to watch.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>>;
}

/// What a [`Watcher`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// This key was written or removed, or has expired.
    Key(StoreKey),
    /// There may have been changes that were not reported: the connection was opened again.
    Unknown,
    /// The connection is lost; until [`StoreEvent::Unknown`] comes nothing is reported.
    Lost,
}

/// A value on its way into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Opaque bytes.
    pub value: Bytes,
    /// How long the value lives, from the store's present on; [`Duration::MAX`] for ever, and less than a millisecond for
    /// not at all.
    pub lifetime: Duration,
    /// What the value can be found by, besides its key.
    pub tag: Option<Tag>,
}

/// A value on its way out of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes that were put.
    pub value: Bytes,
    /// Which writing of this key it is.
    pub version: Version,
    /// The moment from which the value is absent, as last put or touched, to the millisecond. Where a server keeps the time
    /// it may be of another clock than the caller's: good to tell how long ago the value was used, and for nothing else.
    pub deadline: Time,
}

/// Names one writing of one key. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

impl Version {
    /// A version that no other writing has: 64 random bits.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the operating system gives no random numbers.
    pub fn random() -> Result<Version, Error> {
        getrandom::u64().map(Version).map_err(no_random)
    }
}

fn no_random(cause: getrandom::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").because(cause.to_string())
}

/// The condition under which a value is written. There is no default: what must be right is always said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// If the key is absent.
    Create,
    /// If the key has this version.
    Replace(Version),
    /// In any case. For caches; a session is never written so.
    Always,
}

/// What a [`Store::put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was written"]
pub enum PutResult {
    /// It is written, and this is its version.
    Stored(Version),
    /// The condition did not hold; nothing was written.
    Conflict,
}

/// Some of a store's keys, as [`Store::scan`] comes upon them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<StoreKey>,
    /// The cursor to continue from, as short text of the store's own that stays good for later, also in another process;
    /// `None` at the end.
    pub next: Option<String>,
}

impl Page {
    /// A page of a scan in the order of the keys, whose cursor is the last one. A page that has all of its budget may have
    /// others after it.
    pub fn ordered(keys: Vec<StoreKey>, budget: usize) -> Page {
        let next = keys.last().filter(|_| keys.len() >= budget).map(ToString::to_string);
        Page { keys, next }
    }

    /// The key that the cursor of an [ordered](Page::ordered) page names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the cursor names none.
    pub fn last_key(cursor: Option<&str>) -> Result<Option<StoreKey>, Error> {
        cursor.map(|cursor| StoreKey::parse(cursor).ok_or_else(|| Page::unknown(cursor))).transpose()
    }

    /// The error for a cursor that a store did not return.
    pub fn unknown(cursor: &str) -> Error {
        Error::new(ErrorKind::Invalid, format!("invalid cursor `{cursor}`: expected the `next` of an earlier page"))
    }
}

/// What a [`Store::sweep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many expired values are gone.
    pub removed: u64,
    /// Whether the budget ended before the work.
    pub more: bool,
}

/// The first part of [`Store::ping`]: writes a value under a random key for a minute, reads it back, and removes it.
///
/// # Errors
/// Those of the store; [`ErrorKind::Corrupt`] if what is read is not what was written.
pub async fn write_and_read_back<S: Store + ?Sized>(store: &S) -> Result<(), Error> {
    write_and_read_back_under(store, random_key()?).await
}

/// A key that is in no other use.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if the operating system gives no random numbers.
pub fn random_key() -> Result<StoreKey, Error> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(no_random)?;
    Ok(StoreKey::new(key))
}

/// As [`write_and_read_back`], under this key, which is in no other use: for a store of several servers, each of which has
/// its keys.
///
/// # Errors
/// As there.
pub async fn write_and_read_back_under<S: Store + ?Sized>(store: &S, key: StoreKey) -> Result<(), Error> {
    let value = Bytes::copy_from_slice(key.as_bytes());
    let entry = Entry { value: value.clone(), lifetime: Duration::from_secs(60), tag: None };
    let written = store.put(key, entry, PutMode::Create).await?;
    let read = store.get(key).await?;
    let removed = store.delete(key).await?;
    match (written, read) {
        (PutResult::Stored(version), Some(stored)) if removed && stored.version == version && stored.value == value => {
            Ok(())
        }
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            "the store did not return, or did not remove, the value that was just written to it",
        )),
    }
}

/// A shared store is a store.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        (**self).get(key)
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        (**self).put(key, entry, mode)
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        (**self).put_evictable(key, entry, mode)
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        (**self).touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        (**self).delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        (**self).keys_with_tag(tag)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        (**self).scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        (**self).sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        (**self).ping()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn watch(&self) -> Option<Box<dyn Watcher>> {
        (**self).watch()
    }
}
