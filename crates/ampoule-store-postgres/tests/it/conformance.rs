//! The PostgreSQL store conforms, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::{Clock, ManualClock};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, shared};

/// Runs the conformance kit, each check with its own table.
async fn conforms(prefix: &str, clock: impl Fn() -> Option<Arc<ManualClock>>) {
    let Some(server) = shared(Kind::Postgres) else { return };
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = clock();
        let table = format!("{prefix}_{}", count.fetch_add(1, Ordering::Relaxed));
        let store_clock = clock.clone().map(|clock| clock as Arc<dyn Clock>);
        let options = PostgresOptions { table, clock: store_clock, ..PostgresOptions::default() };
        let store = Arc::new(PostgresStore::connect(server.url(), options).unwrap());
        Subject { many_keys: 2_000, ..Subject::new(store, clock) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_a_manual_clock() {
    conforms("kit", || Some(Arc::default())).await;
}

/// This test really waits for deadlines.
#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_the_server_s_clock() {
    conforms("server_s_clock", || None).await;
}
