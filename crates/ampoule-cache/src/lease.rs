//! The agreement of several processes on one creator: a record of its own, which one of them can create.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Bytes, Error, PutMode, PutResult, StoreKey, Version};
use tokio::runtime::Handle;

use crate::backend::Inner;
use crate::key;

/// The right to create a value that this process took from all others. It ends with its deadline, and when it is
/// dropped. The default one agrees with no other process: where there is no store, or none that answers.
#[derive(Default)]
pub(crate) struct Lease(Option<Held>);

struct Held {
    backend: Arc<Inner>,
    key: StoreKey,
    version: Version,
}

impl Lease {
    /// `None` if another process has it.
    pub(crate) async fn acquire(
        backend: &Arc<Inner>,
        entry: StoreKey,
        length: Duration,
    ) -> Result<Option<Lease>, Error> {
        let Some(remote) = &backend.store else { return Ok(Some(Lease(None))) };
        let key = key::lease(entry);
        let outcome = remote.put(key, Bytes::new(), length, PutMode::Create).await?;
        Ok(match outcome {
            PutResult::Stored(version) => Some(Lease(Some(Held { backend: Arc::clone(backend), key, version }))),
            PutResult::Conflict => None,
        })
    }

    /// Gives it back. If that fails, it ends with its deadline.
    pub(crate) async fn release(mut self) {
        if let Some(held) = self.0.take() {
            held.release().await;
        }
    }
}

impl Held {
    /// A lease that ended and was acquired by another process has another version, and stays.
    async fn release(self) {
        if let Some(remote) = &self.backend.store {
            let _ = remote.put(self.key, Bytes::new(), Duration::ZERO, PutMode::Replace(self.version)).await;
        }
    }
}

/// A creator that is cancelled gives it back as soon as it can, so that others need not wait for the deadline.
impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(held), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(held.release());
        }
    }
}
