//! What can be cached, and what a creator makes of it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be cached: what serde can write and read. `Option` is one, so that an absent value is cached too, and so is
/// `Arc<T>`, which spares a hit in memory the copy of a large value.
pub trait Cacheable: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Cacheable for T {}

/// What a creator made, and how long it is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created<T> {
    pub(crate) value: T,
    pub(crate) expire: Option<Duration>,
    pub(crate) is_failure: bool,
}

impl<T> Created<T> {
    /// A value that is kept as long as the region says.
    pub fn new(value: T) -> Created<T> {
        Created { value, expire: None, is_failure: false }
    }

    /// A value that stands for a failure: an old one that may still be given out goes before it.
    pub fn failure(value: T) -> Created<T> {
        Created { is_failure: true, ..Created::new(value) }
    }

    /// The same, kept for so long; not at all for zero, and then the others who wait create for themselves.
    #[must_use]
    pub fn expire(self, expire: Duration) -> Created<T> {
        Created { expire: Some(expire), ..self }
    }
}
