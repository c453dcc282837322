//! Tells a response cache that a session was touched, whatever layers are between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether any session of a request was touched. A response cache places it into the request, and the session layers
/// inside the cache give it to their sessions. It does not depend on the response, which a layer between may replace.
#[derive(Clone, Debug, Default)]
pub(crate) struct TouchProbe(Arc<AtomicBool>);

impl TouchProbe {
    #[cfg(feature = "cache")]
    pub(crate) fn of(extensions: &http::Extensions) -> Option<TouchProbe> {
        extensions.get().cloned()
    }

    /// Returns `None`: only the response cache places a probe.
    #[cfg(all(feature = "axum", not(feature = "cache")))]
    pub(crate) fn of(_: &http::Extensions) -> Option<TouchProbe> {
        None
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[cfg(feature = "cache")]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
