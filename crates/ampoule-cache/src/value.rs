//! The values that can be cached, and the return type of a creator.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can be cached: any type that serde can serialize and deserialize. With `Option<T>` absence is cached
/// too. With `Arc<T>` a hit in memory does not copy a large value.
pub trait Cacheable: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Cacheable for T {}

/// A value that a creator returns, with its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created<T> {
    pub(crate) value: T,
    pub(crate) expire: Option<Duration>,
    pub(crate) is_failure: bool,
}

impl<T> Created<T> {
    /// Creates a value that is kept as long as the region says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ampoule_cache::Created;
    ///
    /// let token = Created::new("abc".to_owned()).expire(Duration::from_secs(300));
    /// ```
    pub fn new(value: T) -> Created<T> {
        Created { value, expire: None, is_failure: false }
    }

    /// Creates a value that represents a failure: while a stale value may still be returned, callers get that one
    /// instead.
    pub fn failure(value: T) -> Created<T> {
        Created { is_failure: true, ..Created::new(value) }
    }

    /// Sets how long the value is kept. With zero it is not kept, and waiting callers create it themselves.
    #[must_use]
    pub fn expire(self, expire: Duration) -> Created<T> {
        Created { expire: Some(expire), ..self }
    }
}
