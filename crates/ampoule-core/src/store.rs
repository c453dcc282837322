//! What a store must do: the smallest contract on which the promises can be built.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::{Error, ErrorKind, Reply, StoreKey, Tag, Time};

/// A keeper of opaque values under opaque keys, each with a version and a deadline.
///
/// The contract, which `ampoule_core::conformance` (feature `conformance`) tests on any store:
///
/// - **One writer wins.** [`Put::Create`] and [`Put::Replace`] compare and write in one step: of any number of callers
///   in any number of processes that replace one version, exactly one succeeds.
/// - **Versions never come back.** No version of a key is used twice, even when the key is deleted and created again,
///   so that a slow writer can never replace what it has not seen.
/// - **A deadline is exact.** From its deadline on a value is absent for every method, whether or not it has been swept.
///   A value that is put with a deadline that has passed is absent at once, and so is what it replaced: this is how a
///   caller removes one version and no other.
/// - **Whole or not at all.** A reader sees a value as one writer wrote it. What cannot be read as it was written is
///   [`ErrorKind::Corrupt`], never absent.
/// - **Cancelling is safe.** A [`Reply`] that is dropped leaves its operation done or not done, and the store usable.
/// - **When it happens.** A store may do its work when the method is called, and return an answer that is at hand, or when
///   the reply is awaited. What would keep a thread waiting is done in neither.
/// - **Absence and conflict are answers**, not errors.
///
/// A store is used behind `Arc<dyn Store>`, so that no handler is generic over it. It bounds the time of its own
/// operations where its driver can hang; callers add a limit of their own.
pub trait Store: Send + Sync {
    /// The value under `key`, unless there is none or its deadline has passed.
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>>;

    /// Writes `entry` under `key` if `when` holds, and says which version it now has.
    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome>;

    /// Moves the deadline of `key` and nothing else: neither value nor version. Says whether the key was there.
    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool>;

    /// Removes `key`. Says whether it was there.
    fn delete(&self, key: StoreKey) -> Reply<'_, bool>;

    /// The keys that were last put with `tag` and are still there, in no order.
    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>>;

    /// Some of the keys: from the beginning, or from where an earlier [`Page`] ended. For tools that go through all.
    ///
    /// Whoever follows [`Page::next`] to the end has seen every key that was there the whole time, at least once; one
    /// that came or went meanwhile, or that has expired, may be among them. A page has about `budget` keys, and may
    /// have none though more follow. Other writers are not held up.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a place that this store did not name.
    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page>;

    /// Frees what has expired, looking at about `budget` values at most. A store whose engine does that by itself has
    /// nothing to do. Several processes may sweep one store at once.
    fn sweep(&self, budget: usize) -> Reply<'_, Swept>;

    /// What this is and where, in a few words for the operator; no password. "memory (lost at restart)".
    fn describe(&self) -> String;

    /// Tells of what others change, from now on, for whoever keeps copies in memory. `None` from a store that cannot
    /// tell, which is the default.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }
}

/// What a [`Store::watch`] returns.
pub trait Watch: Send {
    /// Waits for the next change. It never ends by itself, and connects again when it must; the first thing that it
    /// tells is [`Changed::Unknown`], when it has begun to watch.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Changed> + Send + '_>>;
}

/// What a [`Watch`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// This key was written or removed, or has expired.
    Key(StoreKey),
    /// There may have been changes that nobody will tell of: the connection was made anew.
    Unknown,
    /// The connection is lost; until [`Changed::Unknown`] comes nothing is told.
    Lost,
}

/// A value on its way into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Opaque bytes.
    pub value: Bytes,
    /// The moment from which the value is absent; [`Time::MAX`] for never.
    pub deadline: Time,
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
    /// The moment from which the value is absent, as last put or touched. A store may round it to the millisecond.
    pub deadline: Time,
}

/// Names one writing of one key. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// Under which condition a value is written. There is no default: what must be right is always said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// If the key is absent.
    Create,
    /// If the key has this version.
    Replace(Version),
    /// In any case. For caches; a session is never written so.
    Always,
}

/// What became of a [`Store::put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was written"]
pub enum Outcome {
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
    /// Where to go on, as short text of the store's own that stays good for later, also in another process; `None` at
    /// the end.
    pub next: Option<String>,
}

impl Page {
    /// The error for a place that a store did not name.
    pub fn unknown(place: &str) -> Error {
        Error::new(ErrorKind::Invalid, format!("`{place}` is no place in this store's keys: take what `next` said"))
    }
}

/// What a [`Store::sweep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many expired values are gone.
    pub removed: u64,
    /// Whether the budget ended before the work.
    pub more: bool,
}
