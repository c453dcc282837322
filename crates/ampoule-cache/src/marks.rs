//! Which keys were cleared, and when, as this process counts.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};

use ampoule_core::StoreKey;

/// How many are remembered. Beyond it the oldest are forgotten, and all that began before them counts as cleared.
const MOST: usize = 8_192;

/// Keys with the moment of their last clearing. Moments are numbers that only grow.
#[derive(Default)]
pub(crate) struct Marks(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    at: HashMap<StoreKey, u64>,
    order: VecDeque<(StoreKey, u64)>,
    floor: u64,
}

impl Marks {
    pub(crate) fn mark(&self, key: StoreKey, moment: u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.at.insert(key, moment);
        inner.order.push_back((key, moment));
        if inner.order.len() > MOST
            && let Some((oldest, at)) = inner.order.pop_front()
        {
            inner.floor = inner.floor.max(at);
            if inner.at.get(&oldest) == Some(&at) {
                inner.at.remove(&oldest);
            }
        }
    }

    /// All keys at once.
    pub(crate) fn mark_all(&self, moment: u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *inner = Inner { floor: moment, ..Inner::default() };
    }

    /// Whether what began at that moment was cleared since by any of these keys.
    pub(crate) fn any_since(&self, keys: &[StoreKey], began: u64) -> bool {
        if keys.is_empty() {
            return false;
        }
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        began < inner.floor || keys.iter().any(|key| inner.at.get(key).is_some_and(|at| *at > began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> StoreKey {
        StoreKey::digest(&number.to_le_bytes())
    }

    #[test]
    fn what_began_before_a_mark_is_cleared_by_it() {
        let marks = Marks::default();
        marks.mark(key(1), 5);
        assert!(marks.any_since(&[key(1)], 4) && !marks.any_since(&[key(1)], 5));
        assert!(!marks.any_since(&[key(2)], 0) && !marks.any_since(&[], 0));
    }

    #[test]
    fn what_is_forgotten_counts_as_cleared() {
        let marks = Marks::default();
        (0..MOST + 10).for_each(|number| marks.mark(key(number), number as u64 + 1));
        assert!(marks.0.read().unwrap().at.len() <= MOST);
        assert!(marks.any_since(&[key(0)], 0), "forgotten, so to be on the safe side");
        assert!(marks.any_since(&[key(usize::MAX)], 5) && !marks.any_since(&[key(usize::MAX)], 10));
        marks.mark_all(1_000_000);
        assert!(marks.any_since(&[key(7)], 999_999));
    }
}
