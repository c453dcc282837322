//! The contract of a store: the smallest one that can keep the promises.

use std::fmt;
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
/// A store is used as `Arc<dyn Store>`, so no handler is generic over it. Nine methods are required. The promises of a
/// session rest on [`put`](Store::put), which writes only if the key is absent or still has the version that the caller
/// has read. This is a complete store over a map:
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
/// [`assert_conforms`](https://docs.rs/ampoule-core/latest/ampoule_core/conformance/fn.assert_conforms.html) prints the
/// name of each rule that is broken.
///
/// # The contract
///
/// - **One writer wins.** [`PutMode::Create`] and [`PutMode::Replace`] compare and write in one step: of any number of
///   callers in any number of processes that replace one version, exactly one succeeds.
/// - **Versions never come back.** No version of a key is used twice, even when the key is deleted and created again,
///   so that a slow writer can never replace a value that it has not read.
/// - **The store's clock decides.** Callers give a lifetime, never a point in time. The deadline is the store's current
///   time plus the lifetime; from then on the value is absent for every method, swept or not. A value that is put with
///   a lifetime of less than a millisecond is absent at once, and so is the value that it replaces: a caller removes
///   exactly one version that way.
/// - **An unknown outcome is `Timeout`.** A driver may resend a write after a broken connection, and then find neither
///   the expected version nor its own. It must return [`ErrorKind::Timeout`], since the first attempt may have
///   succeeded and been replaced since. If it finds its own version, the write has succeeded.
/// - **Whole or not at all.** A reader sees a value exactly as one writer wrote it. A damaged value is
///   [`ErrorKind::Corrupt`], never absent.
/// - **Cancelling is safe.** A [`Reply`] that is dropped leaves its operation done or not done, and the store usable.
/// - **Nothing blocks.** A store does its work either when the method is called, and returns a ready answer, or when
///   the reply is awaited. In neither case does it block the thread.
/// - **Absence and conflict are answers**, not errors.
///
/// A store must limit the time of its own operations where its driver can hang; callers add a limit of their own.
pub trait Store: Send + Sync {
    /// Returns the value under `key`, or `None` if the key is absent or its deadline has passed.
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>>;

    /// Writes `entry` under `key` if `mode` allows it, and returns the new version.
    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult>;

    /// Writes like [`put`](Store::put), and allows a full store to remove the value before its deadline to make room
    /// for another. A later [`put`](Store::put) of the key withdraws that permission. The default calls
    /// [`put`](Store::put): only a store that refuses values when it is full needs an implementation of its own.
    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.put(key, entry, mode)
    }

    /// Moves the deadline of `key` to `lifetime` from now if the key has this version; value and version stay the same.
    /// The deadline never moves to an earlier moment, so of two touches of one version the later deadline stays.
    /// Returns whether the key had the version.
    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool>;

    /// Removes `key`. Returns whether it was there.
    fn delete(&self, key: StoreKey) -> Reply<'_, bool>;

    /// Returns the keys that were last put with `tag` and are still live, in no particular order.
    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>>;

    /// Returns one page of keys, from the beginning or from the cursor of an earlier [`Page`], for tools that read all
    /// keys.
    ///
    /// A caller that follows [`Page::next`] to the end sees every key that existed all the while at least once. Keys
    /// that were added or removed meanwhile, or that have expired, may be among them. A page has about `budget` keys,
    /// and may be empty although more follow. A scan does not hold up other writers.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a cursor that this store did not return.
    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page>;

    /// Removes expired values; examines about `budget` values at most. A store whose engine expires values by itself
    /// does nothing. Several processes may sweep one store at once.
    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport>;

    /// Writes a value under a random key, reads it back, removes it, and returns the store's current time: for health
    /// checks, and to compare the store's clock with the caller's. [`write_and_read_back`] does all but the time.
    ///
    /// # Errors
    /// Any error of the store; [`ErrorKind::Corrupt`] if the value that is read differs from the one that was written.
    fn ping(&self) -> Reply<'_, Time>;

    /// Returns the store's kind and location in a few words for the operator, such as "memory (lost at restart)". It
    /// must contain no password.
    fn describe(&self) -> String;

    /// Returns a watcher that reports what others change from now on, for callers that keep copies in memory. The
    /// default, `None`, is for stores that cannot report changes.
    fn watch(&self) -> Option<Box<dyn Watcher>> {
        None
    }
}

/// What [`Store::watch`] returns.
pub trait Watcher: Send {
    /// Waits for the next event. It never ends; it reconnects when its connection breaks. The first event is
    /// [`StoreEvent::Unknown`], as soon as it watches.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>>;
}

/// What a [`Watcher`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// This key was written or removed, or its expired value was. A store may find an expired value long after it
    /// expired, so a copy needs an expiry time of its own.
    Key(StoreKey),
    /// The watcher is connected, for the first time or again: earlier changes may not have been reported.
    Unknown,
    /// The connection is lost; no changes are reported until the next [`StoreEvent::Unknown`].
    Lost,
}

/// A value to write. `{:?}` prints the value's size.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Opaque bytes.
    pub value: Bytes,
    /// How long the value lives, counted from the store's current time; [`Duration::MAX`] for ever, less than a
    /// millisecond for not at all.
    pub lifetime: Duration,
    /// The tag by which [`Store::keys_with_tag`] finds the key.
    pub tag: Option<Tag>,
}

/// A value as it was read. `{:?}` prints the value's size.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bytes that were put.
    pub value: Bytes,
    /// The version of the write.
    pub version: Version,
    /// The moment from which the value is absent, in milliseconds, as last put or touched. It may be by the server's
    /// clock, which can differ from the caller's: use it only to compute how long ago the value was used.
    pub deadline: Time,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { value, lifetime, tag } = self;
        let mut entry = f.debug_struct("Entry");
        entry.field("value", &format_args!("{} bytes", value.len()));
        entry.field("lifetime", lifetime).field("tag", tag).finish()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stored { value, version, deadline } = self;
        let mut stored = f.debug_struct("Stored");
        stored.field("value", &format_args!("{} bytes", value.len()));
        stored.field("version", version).field("deadline", deadline).finish()
    }
}

/// Identifies one write of one key. Versions are compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

impl Version {
    /// Returns a version of 64 random bits, which no other write has.
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

/// The condition under which a value is written. It has no default, so that every caller states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Writes if the key is absent.
    Create,
    /// Writes if the key has this version.
    Replace(Version),
    /// Writes in any case. Only caches do; a session is never written like this.
    Always,
}

/// What a [`Store::put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was written"]
pub enum PutResult {
    /// The value was written; this is its version.
    Stored(Version),
    /// The condition did not hold, so nothing was written.
    Conflict,
}

/// One page of a store's keys: see [`Store::scan`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use ampoule_core::{MemoryStore, Store};
///
/// let store = MemoryStore::default();
/// let (mut count, mut cursor) = (0, None);
/// loop {
///     let page = store.scan(cursor.as_deref(), 1_000).await?;
///     count += page.keys.len();
///     cursor = page.next;
///     if cursor.is_none() {
///         break;
///     }
/// }
/// assert_eq!(count, 0);
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<StoreKey>,
    /// The cursor of the next page; `None` at the end. It is a short text in a form of the store's own, and stays valid
    /// later and in other processes.
    pub next: Option<String>,
}

impl Page {
    /// Creates a page of a scan in key order, whose cursor is its last key. A page of fewer than `budget` keys is the
    /// last one.
    pub fn ordered(keys: Vec<StoreKey>, budget: usize) -> Page {
        let next = keys.last().filter(|_| keys.len() >= budget).map(ToString::to_string);
        Page { keys, next }
    }

    /// Returns the key that the cursor of an [ordered](Page::ordered) page names; `None` for no cursor.
    ///
    /// ```
    /// use ampoule_core::{Page, StoreKey};
    ///
    /// let key = StoreKey::digest(b"greeting");
    /// let page = Page::ordered(vec![key], 1);
    /// assert_eq!(Page::last_key(page.next.as_deref())?, Some(key));
    /// assert_eq!(Page::last_key(None)?, None);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the cursor is not the text of a key.
    pub fn last_key(cursor: Option<&str>) -> Result<Option<StoreKey>, Error> {
        cursor.map(|cursor| StoreKey::parse(cursor).ok_or_else(|| Page::unknown(cursor))).transpose()
    }

    /// Returns the error for a cursor that the store did not return.
    pub fn unknown(cursor: &str) -> Error {
        Error::new(ErrorKind::Invalid, format!("invalid cursor `{cursor}`: expected the `next` of an earlier page"))
    }
}

/// What a [`Store::sweep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many expired values were removed.
    pub removed: u64,
    /// Whether the sweep stopped at its budget, so that expired values may remain.
    pub more: bool,
}

/// Writes a value under a random key with a lifetime of a minute, reads it back and removes it, for [`Store::ping`].
///
/// # Errors
/// Any error of the store; [`ErrorKind::Corrupt`] if the value that is read differs from the one that was written.
pub async fn write_and_read_back<S: Store + ?Sized>(store: &S) -> Result<(), Error> {
    write_and_read_back_under(store, random_key()?).await
}

/// Returns a random key, which is not in use.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if the operating system gives no random numbers.
pub fn random_key() -> Result<StoreKey, Error> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(no_random)?;
    Ok(StoreKey::new(key))
}

/// Does what [`write_and_read_back`] does under this key, which must not be in use: for a store of several servers,
/// each with its own keys.
///
/// # Errors
/// As [`write_and_read_back`].
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

/// A shared store is a store: every method is forwarded.
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
