//! Frees expired sessions, in the background.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ampoule_core::{Error, SweepReport};
use tokio::runtime::Handle;

use crate::backend::Backend;
use crate::shared::Shared;

/// Sessions of one portion, and the pause after it.
const PORTION: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// What ends with the task, also when its runtime ends: the next session that is made starts another.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.is_swept.store(false, Ordering::Relaxed);
        }
    }
}

impl Shared {
    pub(crate) async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        match &self.backend {
            Backend::Store(store) => store.sweep(budget).await,
            Backend::Cookie(_) => Ok(SweepReport::default()),
        }
    }

    /// Starts a task that sweeps, unless there is one. Called where a session is made: a process that makes none leaves
    /// nothing behind. The task ends with the layer.
    pub(crate) fn start_sweeping(self: &Arc<Shared>) {
        // Where there is no timer nothing can wait for the next turn.
        let Some(interval) = self.options.sweep_interval.filter(|_| self.options.store_timeout.is_some()) else {
            return;
        };
        let is_swept = || self.is_swept.load(Ordering::Relaxed) || self.is_swept.swap(true, Ordering::Relaxed);
        if self.backend.is_cookie() || is_swept() {
            return;
        }
        let running = Running(Arc::downgrade(self));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(sweep_all(running, interval));
        }
    }
}

/// About every `interval`, so that several processes do not meet, in portions with pauses between them.
async fn sweep_all(running: Running, interval: Duration) {
    loop {
        let jitter = f64::from(u16::from_le_bytes(ampoule_seal::internal::random_bytes())) / f64::from(u16::MAX);
        tokio::time::sleep(interval.mul_f64(0.5 + jitter)).await;
        let mut removed = 0;
        loop {
            let Some(shared) = running.0.upgrade() else { return };
            let swept = shared.sweep(PORTION).await.unwrap_or_else(|error| {
                tracing::warn!(session = %shared.name, error = %error.report(), "expired sessions could not be swept");
                SweepReport::default()
            });
            removed += swept.removed;
            if !swept.more {
                break;
            }
            drop(shared);
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(shared) = running.0.upgrade().filter(|_| removed > 0) {
            tracing::info!(session = %shared.name, removed, "swept expired sessions");
        }
    }
}
