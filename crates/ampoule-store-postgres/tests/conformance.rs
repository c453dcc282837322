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
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let table = format!("kit_{}", count.fetch_add(1, Ordering::Relaxed));
        let options = PostgresOptions { table, clock: clock.clone(), ..PostgresOptions::default() };
        Subject::new(Arc::new(PostgresStore::connect(server.url(), options).unwrap()), Some(clock))
    })
    .await;
}
