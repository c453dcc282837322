//! The number of rows that a sweep deletes in one transaction, so that other writers hardly wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a batch should take.
const TARGET_TIME: Duration = Duration::from_millis(1);

/// The size of the smallest batch: below it the cost of the commit dominates.
const MIN_ROWS: usize = 16;

const MAX_ROWS: usize = 512;

/// The size of the next batch. It is halved after a slow batch and doubled after a fast one.
pub(crate) struct BatchSize(AtomicUsize);

impl Default for BatchSize {
    fn default() -> BatchSize {
        BatchSize(AtomicUsize::new(MIN_ROWS))
    }
}

impl BatchSize {
    pub(crate) fn rows(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs a batch, and adjusts the size by the time that it takes.
    pub(crate) fn measure<T>(&self, batch: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = batch();
        self.adjust(started.elapsed());
        result
    }

    fn adjust(&self, time: Duration) {
        let rows = self.rows();
        if time > TARGET_TIME {
            self.0.store((rows / 2).max(MIN_ROWS), Ordering::Relaxed);
        } else if time < TARGET_TIME / 4 {
            self.0.store((rows * 2).min(MAX_ROWS), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_fast_and_shrink_when_they_are_slow() {
        let size = BatchSize::default();
        (0..20).for_each(|_| size.adjust(Duration::ZERO));
        assert_eq!(size.rows(), MAX_ROWS);
        size.adjust(TARGET_TIME / 2);
        assert_eq!(size.rows(), MAX_ROWS);
        (0..20).for_each(|_| size.adjust(2 * TARGET_TIME));
        assert_eq!(size.rows(), MIN_ROWS);
    }
}
