//! The Redis store keeps the contract: on a single server, behind Sentinel, and in a Cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::ManualClock;
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, shared};

async fn conforms(kind: Kind, many_keys: usize) {
    let Some(server) = shared(kind) else { return };
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let prefix = format!("kit{}:", count.fetch_add(1, Ordering::Relaxed));
        let options = RedisOptions { prefix, clock: clock.clone(), ..RedisOptions::default() };
        let store = Arc::new(RedisStore::connect(server.url(), options).unwrap());
        Subject { many_keys, sweeps: false, ..Subject::new(store, Some(clock)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_on_one_server() {
    conforms(Kind::Redis, 10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_behind_sentinel() {
    conforms(Kind::RedisSentinel, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_in_a_cluster() {
    conforms(Kind::RedisCluster, 1_000).await;
}
