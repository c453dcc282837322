//! The cache while its store is down: readers do not notice, and callers that change something get an error.

use std::convert::Infallible;
use std::sync::Arc;

use crate::support::caches::{CacheCluster, Creator, ask_in_parallel, options};
use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, SECOND};
use ampoule::cache::{Backend, BackendOptions, CacheManager};
use ampoule::store::Store;

#[tokio::test]
async fn readers_do_not_notice_an_outage() {
    for behaviour in [StoreBehaviour::Refuses, StoreBehaviour::Hangs] {
        for tiers in [false, true] {
            let rig = CacheCluster::new(BackendKind::Memory);
            let quick = BackendOptions { store_timeout: Some(SECOND / 10), ..rig.backend_options() };
            let store: Arc<dyn Store> = rig.spy.clone();
            let backend = if tiers { Backend::tiers(store, &quick) } else { Backend::store(store, &quick) };
            let manager = CacheManager::new(backend, options()).unwrap();
            let cache = manager.cache::<usize>(&format!("{behaviour:?}"));
            cache.insert("there", 7).await.unwrap();
            rig.clock.advance(2 * SECOND);
            rig.spy.set_behaviour(behaviour);
            let creator = Creator::default();
            let asked = tokio::time::timeout(30 * SECOND, ask_in_parallel(&cache, 100, &creator)).await.unwrap();
            assert!(asked.iter().all(|value| *value == 1), "still one creator in a process");
            assert_eq!(creator.count(), 1);
            assert_eq!(cache.get("there").await, None);
            let failed = cache.get_or_try_insert_with("there", || async { Ok::<_, Infallible>(8) }).await;
            assert_eq!(failed, Ok(8));
            assert!(cache.stats().unavailable > 0);
            // A caller that changes something must know that it was not done.
            assert!(cache.remove("there").await.unwrap_err().is_transient());
            assert!(cache.clear().await.unwrap_err().is_transient());
            assert!(manager.invalidate_tag("t").await.unwrap_err().is_transient());
            assert!(cache.insert("there", 9).await.unwrap_err().is_transient());
        }
    }
}

/// The server is killed and restarted: readers notice only the time for creating values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_notice_a_killed_server() {
    use ampoule_test_servers::{Kind, Server};
    for kind in [Kind::Redis, Kind::Memcached, Kind::Postgres] {
        let Some(server) = Server::start(kind) else { continue };
        let mut store_options = crate::support::store_options(Arc::new(ampoule::SystemClock));
        store_options.pool.connect_timeout = SECOND;
        let store = ampoule::store::open(server.url(), &store_options).unwrap();
        let manager = CacheManager::new(Backend::store(store, &BackendOptions::default()), options()).unwrap();
        let cache = manager.cache::<u32>("n");
        assert_eq!(cache.get_or_insert_with("key", || async { 1 }).await, 1);
        server.node().kill();
        for n in 0..50 {
            let value = cache.get_or_try_insert_with("key", || async { Ok::<_, Infallible>(n) }).await;
            assert_eq!(value, Ok(n), "{kind:?}");
        }
        assert!(cache.remove("key").await.unwrap_err().is_transient(), "{kind:?}");
        server.node().restart();
        let mut kept = false;
        for _ in 0..100 {
            cache.get_or_insert_with("key", || async { 2 }).await;
            kept = cache.get("key").await.is_some();
            if kept {
                break;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        assert!(kept, "{kind:?} is used again");
    }
}
