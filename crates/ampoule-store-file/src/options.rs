//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Durability, SystemClock};

/// How a [`FileStore`](crate::FileStore) works.
///
/// End a literal with `..FileOptions::default()`: a later version may have more of them.
///
/// ```
/// use ampoule_store_file::{Durability, FileOptions};
///
/// let options = FileOptions { durability: Durability::Power, ..FileOptions::default() };
/// ```
#[derive(Clone)]
pub struct FileOptions {
    /// What a save has outlived when it returns. [`Durability::Process`] by default.
    pub durability: Durability,
    /// The largest value, in bytes; a larger one is [`ErrorKind::TooLarge`](ampoule_core::ErrorKind::TooLarge). 16 MiB by default.
    pub max_value: usize,
    /// How long a writer waits for one of another process before it gives up with [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout). Writers need
    /// milliseconds, so by default it is 5 seconds: then the other hangs.
    pub lock_wait: Duration,
    /// What tells the time; the system's clock by default.
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
