//! The number of concurrent operations on a store.

/// The number of records that are read or written concurrently: enough to hide a network's round trip, few enough not
/// to slow down a site.
pub(super) const CONCURRENCY: usize = 32;
