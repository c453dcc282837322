//! The options of the store.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Durability, SystemClock};

/// Options for an [`SqliteStore`](crate::SqliteStore).
///
/// End a literal with `..SqliteOptions::default()`: a later version may add options.
///
/// ```
/// use ampoule_store_sqlite::{Durability, SqliteOptions};
///
/// let options = SqliteOptions { durability: Durability::Power, readers: 8, ..SqliteOptions::default() };
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The table's name: 1 to 63 ASCII letters, digits and underscores. `ampoule_sessions` by default.
    pub table: String,
    /// Which failures a save survives once it has returned. [`Durability::Process`] by default, which is SQLite's
    /// `synchronous = NORMAL`; [`Durability::Power`] is `FULL`, [`Durability::None`] is `OFF`.
    pub durability: Durability,
    /// How long a writer waits for a writer of another process before it gives up with
    /// [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout). 5 seconds by default.
    pub lock_wait: Duration,
    /// How many connections read concurrently: 4 by default; 0 counts as 1.
    pub readers: usize,
    /// The clock; the system's by default.
    pub clock: Arc<dyn Clock>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            table: "ampoule_sessions".to_owned(),
            durability: Durability::default(),
            lock_wait: Duration::from_secs(5),
            readers: 4,
            clock: Arc::new(SystemClock),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}
