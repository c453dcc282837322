//! How much is asked of a store at once.

/// How many records are read or written at once: enough to hide a network's round trip, too few to hold up a site.
pub(super) const IN_FLIGHT: usize = 32;
