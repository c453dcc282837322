//! Compares the clock of a store with this machine's.

use std::time::Duration;

use ampoule::{Clock, SessionLayer, SystemClock, Time};

/// A larger difference is reported.
const TOLERANCE: Duration = Duration::from_secs(1);

/// memcached's clock has a resolution of a second, and lags by up to two more.
const TOLERANCE_OF_MEMCACHED: Duration = Duration::from_secs(4);

/// Returns a warning if the clock of the layer's store differs from this machine's: a server that keeps the time
/// determines when sessions end.
pub(crate) fn difference(layer: &SessionLayer, store: Time) -> Option<String> {
    let here = SystemClock.now();
    let (difference, way) = if store > here { (store.since(here), "ahead of") } else { (here.since(store), "behind") };
    let layer = layer.describe();
    let tolerance = if layer.contains("memcached at") { TOLERANCE_OF_MEMCACHED } else { TOLERANCE };
    let seconds = difference.as_secs_f64();
    let text = || format!("session {layer}: the store's clock is {seconds:.1} s {way} this machine's; set both by NTP");
    (difference > tolerance).then(text)
}

#[cfg(test)]
mod tests {
    use ampoule::{MemoryStore, Options, Secret};

    use super::*;

    #[test]
    fn clocks_that_differ_by_more_than_a_second_are_reported() {
        let secrets = vec![Secret::new(Secret::generate().as_str()).unwrap()];
        let layer = SessionLayer::new(MemoryStore::default(), Options { secrets, ..Options::default() }).unwrap();
        let now = SystemClock.now();
        assert_eq!(difference(&layer, now), None);
        let ahead = difference(&layer, now + Duration::from_secs(3_600)).unwrap();
        assert!(ahead.contains("3600.0 s ahead of") || ahead.contains("3599.9 s ahead of"), "{ahead}");
        assert!(difference(&layer, now - Duration::from_secs(90)).unwrap().contains(" s behind "));
    }
}
