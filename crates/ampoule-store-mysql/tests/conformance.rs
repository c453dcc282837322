//! The MySQL store keeps the contract, on a real MariaDB.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::ManualClock;
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Kind, shared};

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let table = format!("kit_{}", count.fetch_add(1, Ordering::Relaxed));
        let options = MySqlOptions { table, clock: clock.clone(), ..MySqlOptions::default() };
        let store = Arc::new(MySqlStore::connect(server.url(), options).unwrap());
        Subject { many_keys: 2_000, ..Subject::new(store, Some(clock)) }
    })
    .await;
}
