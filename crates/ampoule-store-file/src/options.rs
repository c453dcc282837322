//! The options of the store.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Durability, SystemClock};

/// Options for a [`FileStore`](crate::FileStore).
///
/// End a literal with `..FileOptions::default()`: a later version may add options.
///
/// ```
/// use ampoule_store_file::{Durability, FileOptions};
///
/// let options = FileOptions { durability: Durability::Power, ..FileOptions::default() };
/// ```
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Which failures a save survives once it has returned. [`Durability::Process`] by default.
    pub durability: Durability,
    /// The maximum size of a value, in bytes; a larger one is
    /// [`ErrorKind::TooLarge`](ampoule_core::ErrorKind::TooLarge). 16 MiB by default.
    pub max_value: usize,
    /// How long a writer waits for a writer of another process before it gives up with
    /// [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout). 5 seconds by default: a write takes milliseconds, so
    /// the other process must hang then.
    pub lock_wait: Duration,
    /// The clock; the system's by default.
    pub clock: Arc<dyn Clock>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for FileOptions {
    fn default() -> FileOptions {
        FileOptions {
            durability: Durability::default(),
            max_value: 16 << 20,
            lock_wait: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
