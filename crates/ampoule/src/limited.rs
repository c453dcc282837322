//! A store that answers within a time limit or says that it did not (promise P10).

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Entry, Error, ErrorKind, Outcome, Put, Reply, Store, StoreKey, Stored, Swept, Tag, Time};

/// Puts a limit on every operation of the store it wraps, whatever limits the store has of its own.
pub(crate) struct Limited {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limit: Duration,
}

impl Limited {
    fn limit<'a, T: Send + 'a>(&self, reply: Reply<'a, T>) -> Reply<'a, T> {
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, reply).await {
                Ok(answer) => answer,
                Err(_) => {
                    let message = format!("the session store gave no answer within {limit:?} (store_timeout)");
                    Err(Error::new(ErrorKind::Timeout, message))
                }
            }
        })
    }
}

impl Store for Limited {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.limit(self.store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        self.limit(self.store.put(key, entry, when))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        self.limit(self.store.touch(key, deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.limit(self.store.delete(key))
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.limit(self.store.tagged(tag))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        self.limit(self.store.sweep(budget))
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
