//! `SealedStore`: encrypts values before a store sees them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ampoule_seal::Sealer;
use bytes::Bytes;

use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::{StoreKey, Tag};
use crate::reply::Reply;
use crate::store::{Entry, Page, PutMode, PutResult, Store, Stored, SweepReport, Version, Watcher};

/// A store whose values are encrypted with a key ring, each bound to its [`StoreKey`]: a leaked store
/// reveals no value.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ampoule_core::internal::SealedStore;
/// use ampoule_core::{Bytes, Entry, MemoryStore, PutMode, Store, StoreKey};
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let inner = Arc::new(MemoryStore::default());
/// let store = SealedStore::new(inner.clone(), KeyRing::new(vec![secret])?.sealer("session record"));
///
/// let key = StoreKey::new([7; 32]);
/// let entry = Entry { value: Bytes::from_static(b"cart: 7"), lifetime: Duration::from_secs(60), tag: None };
/// let _ = store.put(key, entry, PutMode::Create).await?;
/// assert_eq!(store.get(key).await?.unwrap().value, "cart: 7");
/// assert_ne!(inner.get(key).await?.unwrap().value, "cart: 7");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// - A reader of the store learns the sizes and deadlines of values and which of them share a tag, but no content.
/// - A writer to the store can remove a value, or put back an earlier value of the same key. A value that was changed,
///   or moved from another key, is [`ErrorKind::Corrupt`].
/// - The first secret of the key ring seals, and all of them open. A value is resealed when it is written, not when it
///   is read.
/// - A value grows by 29 bytes.
/// - [`Store::ping`] writes its random value unsealed.
pub struct SealedStore {
    store: Arc<dyn Store>,
    sealer: Sealer,
}

impl SealedStore {
    /// Creates a store that seals the values of `store` with this sealer.
    pub fn new(store: Arc<dyn Store>, sealer: Sealer) -> SealedStore {
        SealedStore { store, sealer }
    }

    fn open(&self, key: StoreKey, stored: Stored) -> Result<Stored, Error> {
        let opened = self.sealer.open(&stored.value, key.as_bytes()).ok_or_else(|| {
            let message =
                "a stored value was sealed with none of the encryption keys, or under another store key, or is damaged";
            Error::new(ErrorKind::Corrupt, message)
        })?;
        Ok(Stored { value: Bytes::from(opened.plaintext), ..stored })
    }

    fn seal(&self, key: StoreKey, entry: Entry) -> Entry {
        Entry { value: Bytes::from(self.sealer.seal(&entry.value, key.as_bytes())), ..entry }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for SealedStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.store.get(key).map(move |answer| answer?.map(|stored| self.open(key, stored)).transpose())
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.store.put(key, self.seal(key, entry), mode)
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.store.put_evictable(key, self.seal(key, entry), mode)
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.store.touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.store.delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.store.keys_with_tag(tag)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.store.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.store.ping()
    }

    fn describe(&self) -> String {
        format!("{}, sealed", self.store.describe())
    }

    fn watch(&self) -> Option<Box<dyn Watcher>> {
        self.store.watch()
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedStore({})", self.describe())
    }
}
