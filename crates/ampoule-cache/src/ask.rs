//! What a caller asks a namespace for.

use std::time::Duration;

use ampoule_core::StoreKey;

use crate::memory::MemoryKey;

/// What is asked for.
pub(crate) struct Ask {
    pub(crate) entry: StoreKey,
    pub(crate) place: MemoryKey,
    /// The generations that the value is to carry besides its namespace's.
    pub(crate) tags: Vec<StoreKey>,
    pub(crate) expire: Duration,
}
