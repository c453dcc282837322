//! Which slots of a shard to look at, and from when: an index by deadline that costs eight bytes a slot.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Time;

/// Deadlines are bucketed by 16.384 seconds: a bucket is cheap to find, and no live session is looked at twice in one.
const BUCKET_BITS: u32 = 14;

/// Slot numbers by bucket.
///
/// The index is lazy. A deadline that moves later leaves its entry where it is; the sweep that comes to that bucket finds
/// the slot alive and moves the entry on. An entry whose slot was removed, or is indexed in another bucket, is stale
/// and dropped when it is found; [`Deadlines::is_mostly_stale`] tells when they are worth a rebuild.
#[derive(Default)]
pub(super) struct Deadlines {
    buckets: BTreeMap<u32, VecDeque<u32>>,
    len: usize,
}

impl Deadlines {
    /// The bucket in which a deadline lies. Beyond the year 4198 all share the last.
    pub(super) fn bucket(deadline: Time) -> u32 {
        u32::try_from(deadline.as_millis() >> BUCKET_BITS).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, bucket: u32, slot: u32) {
        self.buckets.entry(bucket).or_default().push_back(slot);
        self.len += 1;
    }

    /// The earliest bucket, if it has begun by `now`.
    pub(super) fn due(&self, now: Time) -> Option<u32> {
        self.buckets.keys().next().copied().filter(|bucket| *bucket <= Deadlines::bucket(now))
    }

    /// Takes out the first entry of the earliest bucket that has begun by `now`, with that bucket.
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
