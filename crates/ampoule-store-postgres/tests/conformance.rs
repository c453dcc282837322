//! The PostgreSQL store keeps the contract, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::ManualClock;
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, shared};

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let count = AtomicUsize::new(0);
    let mut stores = Vec::new();
    for _ in 0..ampoule_core::conformance::CHECKS.len() {
        let clock = Arc::new(ManualClock::default());
        let table = format!("sessions_{}", stores.len());
        let options = PostgresOptions { table, clock: clock.clone(), ..PostgresOptions::default() };
        let store = PostgresStore::connect(server.url(), options).unwrap();
        store.migrate().await.unwrap();
        stores.push((Arc::new(store), clock));
    }
    assert_conforms(|| {
        let (store, clock) = stores[count.fetch_add(1, Ordering::Relaxed)].clone();
        Subject::new(store, Some(clock))
    })
    .await;
}
