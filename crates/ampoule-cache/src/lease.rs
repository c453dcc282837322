//! The lease by which processes agree on one creator: a record that only one of them can create.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Bytes, Error, PutMode, PutResult, StoreKey, Version};
use tokio::runtime::Handle;

use crate::backend::Inner;
use crate::key;

/// The exclusive right to create a value among all processes. It ends with its deadline, and when it is dropped. The
/// default is no lease, for caches without a store or whose store does not answer.
#[derive(Default)]
pub(crate) struct Lease(Option<HeldLease>);

struct HeldLease {
    backend: Arc<Inner>,
    key: StoreKey,
    version: Version,
}

impl Lease {
    /// Returns `None` if another process holds the lease.
    pub(crate) async fn acquire(
        backend: &Arc<Inner>,
        entry: StoreKey,
        length: Duration,
    ) -> Result<Option<Lease>, Error> {
        let Some(remote) = &backend.store else { return Ok(Some(Lease(None))) };
        let key = key::lease(entry);
        let outcome = remote.put(key, Bytes::new(), length, PutMode::Create).await?;
        Ok(match outcome {
            PutResult::Stored(version) => Some(Lease(Some(HeldLease { backend: Arc::clone(backend), key, version }))),
            PutResult::Conflict => None,
        })
    }

    /// Releases the lease. If that fails, it ends with its deadline.
    pub(crate) async fn release(mut self) {
        if let Some(held) = self.0.take() {
            held.release().await;
        }
    }
}

impl HeldLease {
    /// If the lease ended and another process acquired it, its version differs, and it is not removed.
    async fn release(self) {
        if let Some(remote) = &self.backend.store {
            let _ = remote.put(self.key, Bytes::new(), Duration::ZERO, PutMode::Replace(self.version)).await;
        }
    }
}

/// A cancelled creator releases the lease in a task, so that others need not wait for the deadline.
impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(held), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(held.release());
        }
    }
}
