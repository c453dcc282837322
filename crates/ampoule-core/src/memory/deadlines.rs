//! Which slots of a shard may have expired, and when: an index by deadline that costs eight bytes a slot.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Time;

/// A bucket covers 16.384 seconds: few enough buckets to find the earliest quickly, and short enough that a live
/// session is examined only once in each.
const BUCKET_BITS: u32 = 14;

/// Slot numbers by bucket.
///
/// The index is lazy. A deadline that moves later leaves its entry where it is; the sweep that reaches that bucket
/// finds the slot alive and moves the entry. An entry whose slot was removed, or is indexed in another bucket, is stale
/// and is dropped when it is found; [`Deadlines::is_mostly_stale`] says when a rebuild is worth its cost.
#[derive(Default)]
pub(super) struct Deadlines {
    buckets: BTreeMap<u32, VecDeque<u32>>,
    len: usize,
}

impl Deadlines {
    /// Returns the bucket of a deadline. All deadlines after the year 4198 share the last one.
    pub(super) fn bucket(deadline: Time) -> u32 {
        u32::try_from(deadline.as_millis() >> BUCKET_BITS).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, bucket: u32, slot: u32) {
        self.buckets.entry(bucket).or_default().push_back(slot);
        self.len += 1;
    }

    /// Returns the earliest bucket, if it has begun by `now`.
    pub(super) fn due(&self, now: Time) -> Option<u32> {
        self.buckets.keys().next().copied().filter(|bucket| *bucket <= Deadlines::bucket(now))
    }

    /// Removes the first entry of the earliest bucket that has begun by `now`, and returns it with its bucket.
    pub(super) fn pop(&mut self, now: Time) -> Option<(u32, u32)> {
        let bucket = self.due(now)?;
        let mut first = self.buckets.first_entry()?;
        let slot = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        self.len -= usize::from(slot.is_some());
        slot.map(|slot| (bucket, slot))
    }

    pub(super) fn is_mostly_stale(&self, live: usize) -> bool {
        self.len > 2 * live + 1_024
    }
}
