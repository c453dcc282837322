//! Removes expired sessions in the background.

use std::sync::Arc;

use ampoule_core::internal::{Sweep, Sweeper};
use ampoule_core::{Error, SweepReport};

use crate::backend::Backend;
use crate::shared::Shared;

impl Sweep for Shared {
    fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        match &self.backend {
            Backend::Store(store) => store.sweep(budget).await,
            Backend::Cookie(_) => Ok(SweepReport::default()),
        }
    }
}

impl Shared {
    /// Starts the sweeper's task, if it is not running.
    pub(crate) fn start_sweeping(self: &Arc<Shared>) {
        // Without a timer the task could not wait.
        let interval = self.options.sweep_interval.filter(|_| self.options.store_timeout.is_some());
        if let Some(interval) = interval.filter(|_| !self.backend.is_cookie()) {
            Sweeper::start(self, interval);
        }
    }
}
