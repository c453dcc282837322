//! The PostgreSQL store keeps the contract, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::{Clock, ManualClock};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, shared};

/// Each check in a table of its own.
async fn conforms(prefix: &str, clock: impl Fn() -> Option<Arc<ManualClock>>) {
    let Some(server) = shared(Kind::Postgres) else { return };
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = clock();
        let table = format!("{prefix}_{}", count.fetch_add(1, Ordering::Relaxed));
        let given = clock.clone().map(|clock| clock as Arc<dyn Clock>);
        let options = PostgresOptions { table, clock: given, ..PostgresOptions::default() };
        Subject::new(Arc::new(PostgresStore::connect(server.url(), options).unwrap()), clock)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    conforms("kit", || Some(Arc::default())).await;
}

/// This one waits.
#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_by_the_server_s_clock() {
    conforms("server_s_clock", || None).await;
}
