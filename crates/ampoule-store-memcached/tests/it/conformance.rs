//! The memcached store conforms on one server, and on three.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::{Clock, ManualClock};
use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
use ampoule_test_servers::{Kind, Server, shared};

async fn conforms(url: &str) {
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let told = Some(clock.clone() as Arc<dyn Clock>);
        let prefix = format!("kit{}:", count.fetch_add(1, Ordering::Relaxed));
        let options = MemcachedOptions { prefix, clock: told, ..MemcachedOptions::default() };
        let store = Arc::new(MemcachedStore::connect(url, options).unwrap());
        Subject { max_value: 1_000_000, sweeps: false, ..Subject::new(store, Some(clock)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_on_one_server() {
    let Some(server) = shared(Kind::Memcached) else { return };
    conforms(server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_on_three_servers() {
    let servers: Option<Vec<Server>> = (0..3).map(|_| Server::start(Kind::Memcached)).collect();
    let Some(servers) = servers else { return };
    let addresses: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.node().port)).collect();
    conforms(&format!("memcached://{}", addresses.join(","))).await;
}
