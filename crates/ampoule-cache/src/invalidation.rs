//! The keys that were invalidated in this process, in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{PoisonError, RwLock};

use ampoule_core::StoreKey;

/// The most keys that are remembered, as many as fit a table of 8,192 slots. Beyond it the oldest are forgotten, and
/// everything that began before them counts as invalidated.
const MAX_KEYS: usize = 7_168;

/// Keys with the number of the last invalidation of each. Numbers only grow.
#[derive(Default)]
pub(crate) struct InvalidationLog {
    /// The last number of all, so that most checks need no lock.
    newest: AtomicU64,
    entries: RwLock<Entries>,
}

/// Only the first bytes of a key are remembered, as a number: if two keys have the same, both count as invalidated,
/// which is safe.
#[derive(Default)]
struct Entries {
    at: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
    /// The number of the last invalidation of all keys.
    floor: u64,
}

impl InvalidationLog {
    pub(crate) fn add(&self, key: StoreKey, moment: u64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.order.len() >= MAX_KEYS
            && let Some((oldest, at)) = entries.order.pop_front()
        {
            entries.floor = entries.floor.max(at);
            if entries.at.get(&oldest) == Some(&at) {
                entries.at.remove(&oldest);
            }
        }
        entries.at.insert(number(key), moment);
        entries.order.push_back((number(key), moment));
        self.publish(moment);
    }

    /// Invalidates all keys.
    pub(crate) fn add_all(&self, moment: u64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        *entries = Entries { floor: moment, ..Entries::default() };
        self.publish(moment);
    }

    fn publish(&self, moment: u64) {
        self.newest.fetch_max(moment, Ordering::SeqCst);
        // The caller's next actions, such as removing the value from memory, are ordered after it for all threads.
        fence(Ordering::SeqCst);
    }

    /// Whether any of these keys was invalidated since `began`.
    pub(crate) fn any_since<'a>(&self, keys: impl IntoIterator<Item = &'a StoreKey>, began: u64) -> bool {
        if self.newest.load(Ordering::SeqCst) <= began {
            return false;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let is_since =
            |key: &StoreKey| began < entries.floor || entries.at.get(&number(*key)).is_some_and(|at| *at > began);
        keys.into_iter().any(is_since)
    }
}

fn number(key: StoreKey) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> StoreKey {
        StoreKey::digest(&number.to_le_bytes())
    }

    #[test]
    fn what_began_before_an_invalidation_is_invalidated() {
        let log = InvalidationLog::default();
        log.add(key(1), 5);
        assert!(log.any_since(&[key(1)], 4) && !log.any_since(&[key(1)], 5));
        assert!(!log.any_since(&[key(2)], 0) && !log.any_since(&[], 0));
    }

    #[test]
    fn forgotten_keys_count_as_invalidated() {
        let log = InvalidationLog::default();
        (0..MAX_KEYS + 10).for_each(|number| log.add(key(number), number as u64 + 1));
        assert!(log.entries.read().unwrap().at.len() <= MAX_KEYS);
        assert!(log.any_since(&[key(0)], 0), "forgotten keys count as invalidated");
        assert!(log.any_since(&[key(usize::MAX)], 5) && !log.any_since(&[key(usize::MAX)], 10));
        log.add_all(1_000_000);
        assert!(log.any_since(&[key(7)], 999_999));
    }
}
