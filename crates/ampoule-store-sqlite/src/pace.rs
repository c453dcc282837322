//! How many rows a sweep deletes at once, so that other writers do not notice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a batch may take, about.
const TARGET: Duration = Duration::from_millis(1);

/// A commit has a cost of its own, which smaller batches do not lower.
const MIN_ROWS: usize = 16;

const MAX_ROWS: usize = 512;

/// The size of the next batch: half of it after one that took too long, twice of it after one that was quick.
pub(crate) struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Pace {
        Pace(AtomicUsize::new(MIN_ROWS))
    }
}

impl Pace {
    pub(crate) fn rows(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn measure<T>(&self, batch: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = batch();
        self.took(started.elapsed());
        done
    }

    fn took(&self, time: Duration) {
        let rows = self.rows();
        if time > TARGET {
            self.0.store((rows / 2).max(MIN_ROWS), Ordering::Relaxed);
        } else if time < TARGET / 4 {
            self.0.store((rows * 2).min(MAX_ROWS), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let pace = Pace::default();
        (0..20).for_each(|_| pace.took(Duration::ZERO));
        assert_eq!(pace.rows(), MAX_ROWS);
        pace.took(TARGET / 2);
        assert_eq!(pace.rows(), MAX_ROWS);
        (0..20).for_each(|_| pace.took(2 * TARGET));
        assert_eq!(pace.rows(), MIN_ROWS);
    }
}
