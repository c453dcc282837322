//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Durability, SystemClock};

/// How a [`SqliteStore`](crate::SqliteStore) works.
///
/// End a literal with `..SqliteOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The table: letters, digits and underscores. `ampoule_sessions` by default.
    pub table: String,
    /// What a save has outlived when it returns: [`Durability::Process`] by default, which is SQLite's
    /// `synchronous = NORMAL`; [`Durability::Power`] is `FULL`, [`Durability::None`] is `OFF`.
    pub durability: Durability,
    /// How long a writer waits for one of another process: 5 seconds by default, then
    /// [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout).
    pub lock_wait: Duration,
    /// How many connections read at once: 4 by default.
    pub readers: usize,
    /// What tells the time; the system's clock by default.
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
