//! The file store conforms, with every durability.

use std::sync::Arc;

use ampoule_core::ManualClock;
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_store_file::{Durability, FileOptions, FileStore};

async fn conforms(durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let options = FileOptions { durability, clock: clock.clone(), ..FileOptions::default() };
        let path = dir.path().join(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        let subject = Subject::new(Arc::new(FileStore::open(path, options).unwrap()), Some(clock));
        let many_keys = if durability == Durability::Process { subject.many_keys } else { 500 };
        Subject { many_keys, ..subject }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_durability_none() {
    conforms(Durability::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_durability_process() {
    conforms(Durability::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_durability_power() {
    conforms(Durability::Power).await;
}
