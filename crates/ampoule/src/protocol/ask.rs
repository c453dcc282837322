//! What the protocol asks of its store: each operation within its limits, where it can be seen and counted.

use ampoule_core::{Entry, Error, Outcome, Put, Reply, Store, StoreKey, Stored, Swept, Tag, Time};

use super::Protocol;
use crate::observe;

impl Protocol {
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        key: Option<StoreKey>,
        ask: impl FnOnce(&'a dyn Store) -> Reply<'a, T>,
    ) -> Reply<'a, T> {
        if let Err(resting) = self.guard.admit() {
            observe::refused(operation);
            return Reply::ready(Err(resting));
        }
        observe::watched(operation, key, || self.guard.run(ask(&*self.store)))
    }

    pub(super) fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.call("get", Some(key), |store| store.get(key))
    }

    pub(crate) fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        self.call("put", Some(key), |store| store.put(key, entry, when))
    }

    pub(super) fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.call("delete", Some(key), |store| store.delete(key))
    }

    /// Moves the deadline, and nothing else.
    pub(crate) fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        self.call("touch", Some(key), |store| store.touch(key, deadline))
    }

    pub(crate) fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.call("tagged", None, |store| store.tagged(tag))
    }

    pub(crate) async fn sweep(&self, budget: usize) -> Result<Swept, Error> {
        let swept = self.call("sweep", None, |store| store.sweep(budget)).await?;
        observe::swept(swept.removed);
        Ok(swept)
    }
}
