//! The SQLite store conforms with any durability.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::ManualClock;
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_store_sqlite::{Durability, SqliteOptions, SqliteStore};

async fn conforms(durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let options = SqliteOptions { durability, clock: clock.clone(), ..SqliteOptions::default() };
        let path = dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        let subject = Subject::new(Arc::new(SqliteStore::open(path, options).unwrap()), Some(clock));
        let many_keys = if durability == Durability::Power { 300 } else { subject.many_keys };
        Subject { many_keys, ..subject }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_durability_process() {
    conforms(Durability::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_durability_power() {
    conforms(Durability::Power).await;
}
