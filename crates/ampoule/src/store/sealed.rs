//! Sealed at rest: values are encrypted before any store sees them.

use std::sync::Arc;

use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, Tag, Time,
};
use ampoule_seal::Sealer;

/// A store whose values only we can read, each bound to its key: who writes to the store cannot put one session's data
/// under another's key. Keys are digests and tags too, so what is left to read is how large values are, when they end
/// and which belong together.
pub(crate) struct Sealed {
    store: Arc<dyn Store>,
    sealer: Sealer,
}

impl Sealed {
    pub(crate) fn new(store: Arc<dyn Store>, sealer: Sealer) -> Sealed {
        Sealed { store, sealer }
    }

    fn open(&self, key: StoreKey, stored: Stored) -> Result<Stored, Error> {
        let opened = self.sealer.open(&stored.value, key.as_bytes()).ok_or_else(|| {
            let message = "a session is not sealed by any key of encrypt_key, or was sealed for another place";
            Error::new(ErrorKind::Corrupt, message)
        })?;
        Ok(Stored { value: Bytes::from(opened.plain), ..stored })
    }
}

impl Store for Sealed {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.store.get(key).map(move |answer| answer?.map(|stored| self.open(key, stored)).transpose())
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        let value = Bytes::from(self.sealer.seal(&entry.value, key.as_bytes()));
        self.store.put(key, Entry { value, ..entry }, when)
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        self.store.touch(key, deadline)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.store.delete(key)
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.store.tagged(tag)
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(from, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        self.store.sweep(budget)
    }

    fn describe(&self) -> String {
        format!("{}, sealed", self.store.describe())
    }
}
