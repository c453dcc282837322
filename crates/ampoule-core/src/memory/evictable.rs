//! The slots of a shard that may be removed before their deadline, oldest first.

use std::collections::VecDeque;

use crate::store::Version;

/// Slot numbers, each with the version that the slot had when it was marked.
///
/// An entry whose slot now has another version, or none, is stale and is dropped when it is found. Versions count up
/// across the whole store, so that the oldest entry of several shards can be found.
#[derive(Default)]
pub(super) struct Evictable(VecDeque<(u32, Version)>);

impl Evictable {
    pub(super) fn add(&mut self, slot: u32, version: Version) {
        self.0.push_back((slot, version));
    }

    /// Returns the first entry that is neither stale nor excepted. An excepted one moves to the end, since its slot is
    /// about to be written again.
    pub(super) fn first(
        &mut self,
        is_current: impl Fn(u32, Version) -> bool,
        is_excepted: impl Fn(u32) -> bool,
    ) -> Option<(u32, Version)> {
        while let Some(&(slot, version)) = self.0.front() {
            match (is_current(slot, version), is_excepted(slot)) {
                (true, false) => return Some((slot, version)),
                (true, true) if self.0.len() == 1 => return None,
                (true, true) => self.0.rotate_left(1),
                (false, _) => _ = self.0.pop_front(),
            }
        }
        None
    }

    /// Drops stale entries once they outnumber the others, unless the list is small.
    pub(super) fn compact(&mut self, live: usize, is_current: impl Fn(u32, Version) -> bool) {
        if self.0.len() > 2 * live + 1_024 {
            self.0.retain(|&(slot, version)| is_current(slot, version));
            self.0.shrink_to_fit();
        }
    }
}
