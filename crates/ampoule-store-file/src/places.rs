//! The places that a sweep looks through in each round.

use crate::folder::random;

/// The 256 folders of records, then the 256 folders of tags, then the root, where only temporary files can be left.
pub(crate) const PLACES: usize = 513;

/// The beginning of a round of any number, since the processes that sweep need not live for 256 rounds.
pub(crate) fn first_place() -> usize {
    usize::from(random().unwrap_or_default() as u8) * PLACES
}
