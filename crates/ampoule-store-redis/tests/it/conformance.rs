//! The Redis store conforms on a single server, behind Sentinel, and in a Cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::{Clock, ManualClock};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, shared};

async fn conforms(kind: Kind, many_keys: usize, clock: impl Fn() -> Option<Arc<ManualClock>>) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let Some(server) = shared(kind) else { return };
    assert_conforms(|| {
        let clock = clock();
        let prefix = format!("kit{}:", COUNT.fetch_add(1, Ordering::Relaxed));
        let store_clock = clock.clone().map(|clock| clock as Arc<dyn Clock>);
        let options = RedisOptions { prefix, clock: store_clock, ..RedisOptions::default() };
        let store = Arc::new(RedisStore::connect(server.url(), options).unwrap());
        Subject { many_keys, sweeps: false, ..Subject::new(store, clock) }
    })
    .await;
}

fn manual() -> Option<Arc<ManualClock>> {
    Some(Arc::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_on_one_server() {
    conforms(Kind::Redis, 10_000, manual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_behind_sentinel() {
    conforms(Kind::RedisSentinel, 1_000, manual).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_in_a_cluster() {
    conforms(Kind::RedisCluster, 1_000, manual).await;
}

/// The kit must wait for the servers' clocks, so both runs are concurrent.
#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_the_server_s_clock() {
    tokio::join!(conforms(Kind::Redis, 1_000, || None), conforms(Kind::RedisCluster, 1_000, || None));
}
