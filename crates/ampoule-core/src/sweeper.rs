//! Frees what has expired, in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Error;
use crate::store::SweepReport;

/// Values of one portion, and the pause after it.
const PORTION: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Whether a task of this process sweeps for its owner.
#[derive(Debug, Default)]
pub struct Sweeper(AtomicBool);

/// What is swept: the sessions of a layer, the values of a cache.
pub trait Sweep: Send + Sync + 'static {
    /// The owner's sweeper.
    fn sweeper(&self) -> &Sweeper;

    /// Names the owner in the log.
    fn name(&self) -> &str;

    /// Removes what has expired, by reading about `budget` values at most.
    fn sweep(&self, budget: usize) -> impl Future<Output = Result<SweepReport, Error>> + Send;
}

/// What ends with the task, also when its runtime ends: the next start makes another.
struct Running<S: Sweep>(Weak<S>);

impl<S: Sweep> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(owner) = self.0.upgrade() {
            owner.sweeper().0.store(false, Ordering::Relaxed);
        }
    }
}

impl Sweeper {
    /// Starts a task that sweeps, unless there is one. Called where a value is made: a process that makes none leaves
    /// nothing behind. The task ends with the owner. Its runtime needs a timer.
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

/// About every `interval`, so that several processes do not meet, in portions with pauses between them.
async fn sweep_all<S: Sweep>(running: Running<S>, interval: Duration) {
    loop {
        let jitter = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        tokio::time::sleep(interval.mul_f64(0.5 + jitter)).await;
        let mut removed = 0;
        loop {
            let Some(owner) = running.0.upgrade() else { return };
            let swept = owner.sweep(PORTION).await.unwrap_or_else(|error| {
                tracing::warn!(of = owner.name(), error = %error.report(), "what has expired could not be swept");
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
            tracing::info!(of = owner.name(), removed, "swept what has expired");
        }
    }
}
