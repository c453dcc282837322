//! Removes expired values, in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Error;
use crate::store::SweepReport;

/// How many values are swept at a time, and the pause afterwards.
const BATCH_SIZE: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Ensures that at most one task of this process sweeps for its owner.
#[derive(Debug, Default)]
pub struct Sweeper(AtomicBool);

/// A source of values that expire: the sessions of a layer, the values of a cache.
pub trait Sweep: Send + Sync + 'static {
    /// Returns the owner's sweeper.
    fn sweeper(&self) -> &Sweeper;

    /// Returns the name of the owner, for the log.
    fn name(&self) -> &str;

    /// Removes expired values; examines about `budget` values at most.
    fn sweep(&self, budget: usize) -> impl Future<Output = Result<SweepReport, Error>> + Send;
}

/// Marks the sweeper as stopped when its task ends, also if the runtime ends it, so that the next start makes another
/// task.
struct Running<S: Sweep>(Weak<S>);

impl<S: Sweep> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(owner) = self.0.upgrade() {
            owner.sweeper().0.store(false, Ordering::Relaxed);
        }
    }
}

impl Sweeper {
    /// Starts a task that sweeps, unless one is running. It is called when a value is created, so that a process that
    /// creates none runs no task. The task ends with its owner. It needs a runtime with a timer.
    pub fn start<S: Sweep>(owner: &Arc<S>, interval: Duration) {
        let is_running = &owner.sweeper().0;
        if is_running.load(Ordering::Relaxed) || is_running.swap(true, Ordering::Relaxed) {
            return;
        }
        let running = Running(Arc::downgrade(owner));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(sweep_all(running, interval));
        }
    }
}

/// Sweeps about every `interval`, with jitter so that several processes do not coincide, in batches with pauses between
/// them.
async fn sweep_all<S: Sweep>(running: Running<S>, interval: Duration) {
    loop {
        let jitter = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        // Never without a pause, and without an overflow.
        let wait = Duration::try_from_secs_f64(interval.as_secs_f64() * (0.5 + jitter)).unwrap_or(interval);
        tokio::time::sleep(wait.max(PAUSE)).await;
        let mut removed = 0;
        loop {
            let Some(owner) = running.0.upgrade() else { return };
            let swept = owner.sweep(BATCH_SIZE).await.unwrap_or_else(|error| {
                tracing::warn!(of = owner.name(), error = %error.report(), "expired values could not be swept");
                SweepReport::default()
            });
            removed += swept.removed;
            if !swept.more {
                break;
            }
            drop(owner);
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(owner) = running.0.upgrade().filter(|_| removed > 0) {
            tracing::info!(of = owner.name(), removed, "swept expired values");
        }
    }
}
