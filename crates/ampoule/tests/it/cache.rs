//! The cache on every store: one creator, exact expiry, and removed values stay removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::caches::{CacheCluster, Creator, HeldCreator, ask_in_parallel, in_memory, options};
use crate::support::{BackendKind, HOUR, SECOND};
use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule::store::{Entry, PutMode, PutResult, Store, StoreKey};
use ampoule::{ErrorKind, ManualClock, MemoryBounds, MemoryStore};

on_each_store! {
    a_cold_key_is_created_once;
    two_processes_agree_on_one_creator;
    expiry_is_exact;
    a_value_removed_during_its_creation_stays_removed;
    namespaces_and_tags_are_cleared_with_one_write;
    memory_tiers_see_changes_within_memory_expire;
}

async fn a_cold_key_is_created_once(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let (cache, creator) = (rig.process(options()).cache("n"), Creator::default());
    let values = ask_in_parallel(&cache, 1_000, &creator).await;
    assert!(values.iter().all(|value| *value == 1));
    assert_eq!(creator.count(), 1);
    let stats = cache.stats();
    assert_eq!((stats.creations, stats.failures, stats.unavailable), (1, 0, 0), "{stats:?}");
    assert_eq!(stats.hits + stats.waits, 999, "{stats:?}");
}

async fn two_processes_agree_on_one_creator(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let creator = Creator::default();
    let caches = [(); 2].map(|()| rig.process(options()).cache("n"));
    let (one, other) =
        tokio::join!(ask_in_parallel(&caches[0], 50, &creator), ask_in_parallel(&caches[1], 50, &creator));
    assert!(one.iter().chain(&other).all(|value| *value == 1));
    assert_eq!(creator.count(), 1);
}

async fn expiry_is_exact(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let stale = CacheOptions { stale: 60 * SECOND, ..options() };
    let manager = rig.process(options()).with_region("stale", stale).unwrap();
    let cache = manager.cache::<u32>("n");
    cache.insert("key", 1).await.unwrap();
    rig.clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(cache.get("key").await, Some(1));
    rig.clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get("key").await, None);

    let cache = manager.cache_in::<u32>("stale", "m").unwrap();
    cache.insert("key", 1).await.unwrap();
    rig.clock.advance(HOUR + 60 * SECOND - Duration::from_millis(1));
    // One creates, and the others get the old one at once.
    let held = HeldCreator::new();
    let creating = held.begin(&cache, &[], 2).await;
    let other_process = rig.process(CacheOptions { stale: 60 * SECOND, ..options() }).cache::<u32>("m");
    for cache in [&cache, &other_process] {
        assert_eq!(cache.get_or_insert_with("key", || async { 3 }).await, 1);
        assert_eq!(cache.stats().stale, 1);
    }
    held.go_on();
    assert_eq!(creating.await.unwrap(), 2);
    assert_eq!(cache.get("key").await, Some(2));
    rig.clock.advance(HOUR + 60 * SECOND);
    assert_eq!(cache.get_or_insert_with("key", || async { 4 }).await, 4, "nothing is given out after its end");
}

async fn a_value_removed_during_its_creation_stays_removed(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let (one, other) = (rig.process(options()), rig.process_with_memory(options()));
    let (cache, elsewhere) = (one.cache::<u32>("n"), other.cache::<u32>("n"));
    let mut number = 0;
    for way in ["remove", "clear", "tag", "insert"] {
        for remover in [&one, &other] {
            number += 10;
            let held = HeldCreator::new();
            // It has read the old data.
            let creating = held.begin(&cache, &["t"], number).await;
            let there = remover.cache::<u32>("n");
            match way {
                "remove" => there.remove("key").await.unwrap(),
                "clear" => there.clear().await.unwrap(),
                "tag" => remover.invalidate_tag("t").await.unwrap(),
                _ => there.insert("key", number + 1).await.unwrap(),
            }
            held.go_on();
            assert_eq!(creating.await.unwrap(), number, "its own caller gets it");
            let expected = (way == "insert").then_some(number + 1);
            assert_eq!(cache.get("key").await, expected, "{way}");
            assert_eq!(elsewhere.get("key").await, expected, "{way}");
            cache.remove("key").await.unwrap();
            // The memory tier may keep a value that another process removed for up to `memory_expire`.
            rig.clock.advance(2 * SECOND);
        }
    }
}

async fn namespaces_and_tags_are_cleared_with_one_write(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let manager = rig.process(options());
    let (users, pages) = (manager.cache::<Option<String>>("users"), manager.cache::<Vec<u8>>("pages"));
    // Other data: in the same store, and of another application on its server.
    let others: [(Arc<dyn Store>, _); 2] =
        [(rig.spy.clone(), StoreKey::new([1; 32])), (rig.neighbour(), StoreKey::new([2; 32]))];
    for (store, key) in &others {
        let entry = Entry { value: "other".into(), lifetime: HOUR, tag: None };
        assert!(matches!(store.put(*key, entry, PutMode::Create).await.unwrap(), PutResult::Stored(_)));
    }
    for n in 0..20 {
        let name = (n % 2 == 0).then(|| format!("user {n}"));
        users.entry(&n.to_string()).tags([format!("user:{n}")]).insert(name).await.unwrap();
        let tags = [format!("user:{n}"), format!("half:{}", n % 2)];
        pages.entry(&n.to_string()).tags(tags).insert(vec![n; 10]).await.unwrap();
    }
    assert_eq!(users.get("3").await, Some(None), "that there is none is a value too");
    rig.spy.calls();
    manager.invalidate_tag("user:4").await.unwrap();
    manager.invalidate_tag("half:1").await.unwrap();
    assert_eq!(rig.spy.calls(), [0, 2, 0, 0]);
    assert_eq!((users.get("4").await, pages.get("4").await), (None, None));
    assert!(users.get("5").await.is_some() && pages.get("5").await.is_none() && pages.get("6").await.is_some());
    rig.spy.calls();
    users.clear().await.unwrap();
    assert_eq!(rig.spy.calls(), [0, 1, 0, 0]);
    for n in 0..20 {
        assert!(users.get(&n.to_string()).await.is_none());
    }
    assert!(pages.get("6").await.is_some(), "other namespaces stay");
    for (store, key) in &others {
        assert_eq!(store.get(*key).await.unwrap().expect("other data stays").value, "other");
    }
    users.insert("4", None).await.unwrap();
    assert_eq!(users.get("4").await, Some(None));
}

async fn memory_tiers_see_changes_within_memory_expire(backend: BackendKind) {
    let rig = CacheCluster::new(backend);
    let bounded = CacheOptions { memory_expire: 10 * SECOND, ..options() };
    let (one, other) = (rig.process_with_memory(bounded.clone()), rig.process_with_memory(bounded));
    let (here, there) = (one.cache::<u32>("n"), other.cache::<u32>("n"));
    here.insert("key", 1).await.unwrap();
    assert_eq!(there.get("key").await, Some(1));
    rig.spy.calls();
    assert_eq!(there.get("key").await, Some(1));
    assert_eq!(here.get("key").await, Some(1));
    assert_eq!(rig.spy.calls(), [0; 4], "memory answers");
    here.insert("key", 2).await.unwrap();
    assert_eq!(here.get("key").await, Some(2), "who changes it sees it at once");
    rig.clock.advance(10 * SECOND);
    assert_eq!(there.get("key").await, Some(2));
    one.cache::<u32>("n").clear().await.unwrap();
    assert_eq!(here.get("key").await, None);
    rig.clock.advance(10 * SECOND);
    assert_eq!(there.get("key").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_cache_has_the_same_behaviour() {
    let clock = Arc::new(ManualClock::default());
    let manager = in_memory(&clock, CacheOptions { stale: 60 * SECOND, ..options() });
    let creator = Creator::default();
    let cache = manager.cache::<usize>("n");
    assert!(ask_in_parallel(&cache, 1_000, &creator).await.iter().all(|value| *value == 1));
    clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(cache.get("key").await, Some(1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get("key").await, None);

    let cache = manager.cache::<u32>("m");
    for way in ["remove", "clear", "tag", "insert"] {
        let held = HeldCreator::new();
        let creating = held.begin(&cache, &["t"], 1).await;
        match way {
            "remove" => cache.remove("key").await.unwrap(),
            "clear" => cache.clear().await.unwrap(),
            "tag" => manager.invalidate_tag("t").await.unwrap(),
            _ => cache.insert("key", 2).await.unwrap(),
        }
        // A caller that arrives now does not get the old value.
        let later = cache.get_or_insert_with("key", || async { 3 }).await;
        assert_eq!(later, if way == "insert" { 2 } else { 3 }, "{way}");
        held.go_on();
        assert_eq!(creating.await.unwrap(), 1);
        assert_eq!(cache.get("key").await, Some(later), "{way}");
        cache.remove("key").await.unwrap();
    }
}

#[tokio::test]
async fn failures_are_cached_only_on_request() {
    let clock = Arc::new(ManualClock::default());
    let manager = in_memory(&clock, CacheOptions { stale: 60 * SECOND, ..options() });
    let cache = manager.cache::<u32>("n");
    for attempt in 0..3 {
        let failed = cache.get_or_try_insert_with("key", || async move { Err(attempt) }).await;
        assert_eq!(failed, Err(attempt));
    }
    assert_eq!(cache.get_or_try_insert_with("key", || async { Ok::<_, ()>(1) }).await, Ok(1));
    clock.advance(HOUR);
    let failing = || async { Err::<u32, _>("down") };
    assert_eq!(cache.get_or_try_insert_with("key", failing).await, Ok(1), "an old value goes before a failure");
    assert_eq!(cache.stats().failures, 4);

    let results = manager.cache::<Result<u32, String>>("results");
    let down = || async { Err("down".to_owned()) };
    assert_eq!(results.get_or_insert_result_with("key", down).await, Err("down".into()));
    assert_eq!(results.get_or_insert_result_with("key", || async { Ok(1) }).await, Err("down".into()), "kept");
    clock.advance(SECOND);
    assert_eq!(results.get_or_insert_result_with("key", || async { Ok(1) }).await, Ok(1));
    clock.advance(HOUR);
    assert_eq!(results.get_or_insert_result_with("key", down).await, Ok(1), "an old success goes before it");
}

#[tokio::test]
async fn after_a_cancelled_creator_the_next_caller_creates() {
    let rig = CacheCluster::new(BackendKind::Memory);
    for manager in [in_memory(&rig.clock, options()), rig.process(options()), rig.process_with_memory(options())] {
        let cache = manager.cache::<u32>("cancelled");
        let held = HeldCreator::new();
        let creating = held.begin(&cache, &[], 1).await;
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get_or_insert_with("key", || async { 2 }).await }
        });
        tokio::task::yield_now().await;
        creating.abort();
        let waited = tokio::time::timeout(5 * SECOND, waiting).await.expect("well before the lease would end");
        assert_eq!(waited.unwrap(), 2);
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn after_a_panicked_creator_the_next_caller_creates() {
    let rig = CacheCluster::new(BackendKind::Memory);
    let cache = rig.process(options()).cache::<u32>("n");
    let panics = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_insert_with("key", || async { panic!("of the creator") }).await }
    });
    assert!(panics.await.is_err());
    assert_eq!(cache.get_or_insert_with("key", || async { 2 }).await, 2);
}

#[tokio::test]
async fn waiting_for_a_dead_creator_ends_with_the_lease() {
    let rig = CacheCluster::new(BackendKind::Memory);
    let cache = rig.process(options()).cache::<u32>("n");
    let held = HeldCreator::new();
    let creating = held.begin(&cache, &[], 1).await;
    let elsewhere = rig.process(options()).cache::<u32>("n");
    // Another process waits for it …
    let waiting = elsewhere.get_or_insert_with("key", || async { 2 });
    let mut waiting = std::pin::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    // … and ends when the lease expires, although it was not released.
    rig.clock.advance(10 * SECOND);
    assert_eq!(tokio::time::timeout(5 * SECOND, waiting).await.unwrap(), 2);
    held.go_on();
    assert_eq!(creating.await.unwrap(), 1);
    assert_eq!(elsewhere.get("key").await, Some(2), "the late one does not overwrite it");
}

#[tokio::test]
async fn a_key_in_demand_is_refreshed_before_it_expires() {
    let rig = CacheCluster::new(BackendKind::Memory);
    for manager in [in_memory(&rig.clock, options()), rig.process(options())] {
        let cache = manager.cache::<usize>("hot");
        let (clock, count) = (&rig.clock, AtomicUsize::new(0));
        let create = || async {
            // Creating takes ten seconds.
            clock.advance(10 * SECOND);
            count.fetch_add(1, Ordering::SeqCst)
        };
        cache.get_or_insert_with("key", create).await;
        let mut cold = 0;
        for _ in 0..50_000 {
            clock.advance(SECOND / 4);
            let before = cache.stats().misses;
            cache.get_or_insert_with("key", create).await;
            cold += cache.stats().misses - before;
        }
        let created = count.load(Ordering::SeqCst);
        assert_eq!(cold, 0, "it never went cold");
        // 12,500 seconds, and ten for each creation, at an hour each, a little early.
        assert!((4..8).contains(&created), "{created}");
    }
    let never = rig.process(CacheOptions { early: 0.0, ..options() }).cache::<u32>("cold");
    never
        .get_or_insert_with("key", || async {
            rig.clock.advance(10 * SECOND);
            1
        })
        .await;
    rig.clock.advance(HOUR - Duration::from_millis(1));
    for _ in 0..100 {
        assert_eq!(never.get_or_insert_with("key", || async { 2 }).await, 1);
    }
}

#[tokio::test]
async fn values_that_are_too_large_are_returned_but_not_stored() {
    let rig = CacheCluster::new(BackendKind::Memory);
    let small = CacheOptions { max_value_size: 100, ..options() };
    for manager in [in_memory(&rig.clock, small.clone()), rig.process(small.clone())] {
        let cache = manager.cache::<String>("n");
        let large = "x".repeat(101);
        assert_eq!(cache.get_or_insert_with("key", || async { large.clone() }).await, large);
        assert_eq!(cache.get("key").await, None);
        assert_eq!(cache.stats().too_large, 1);
        assert_eq!(cache.insert("key", large).await.unwrap_err().kind(), ErrorKind::TooLarge);
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        let error = cache.entry("key").tags(&many).insert("x".into()).await.unwrap_err();
        assert_eq!(error.to_string(), "a value with 65 tags, where 64 are allowed");
        assert_eq!(cache.entry("key").tags(&many).get_or_insert_with(|| async { "x".into() }).await, "x");
        assert_eq!(cache.get("key").await, None);
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let bounds = ampoule::MemoryBounds { entries: 100, bytes: 100_000, ..Default::default() };
    let manager =
        CacheManager::new(Backend::memory(&BackendOptions { bounds, ..BackendOptions::default() }), options());
    let cache = manager.unwrap().cache::<String>("n");
    for n in 0..5_000 {
        cache.insert(&n.to_string(), "x".repeat(10)).await.unwrap();
    }
    let mut there = 0;
    for n in 0..5_000 {
        there += usize::from(cache.contains_key(&n.to_string()).await);
    }
    // moka lets a bound be passed for moments.
    assert!((50..600).contains(&there), "{there} of 100");
}

#[tokio::test]
async fn a_changed_type_does_not_read_old_values() {
    mod before {
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub(crate) struct User {
            pub(crate) name: String,
        }
    }
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct User {
        name: String,
        age: u8,
    }
    let rig = CacheCluster::new(BackendKind::Memory);
    let manager = rig.process(options());
    let (old, new) = (manager.cache::<before::User>("users"), manager.cache::<User>("users"));
    old.insert("ada", before::User { name: "Ada".into() }).await.unwrap();
    assert_eq!(new.get("ada").await, None);
    new.insert("ada", User { name: "Ada".into(), age: 36 }).await.unwrap();
    assert!(old.get("ada").await.is_some(), "neither spoils the other's");
    let (first, second) = (manager.cache::<u32>("feet"), manager.cache::<u32>("feet").with_version(2));
    first.insert("key", 3).await.unwrap();
    assert_eq!(second.get("key").await, None);
    second.insert("key", 10).await.unwrap();
    assert_eq!(first.get("key").await, Some(3));
    manager.clear("users").await.unwrap();
    assert_eq!((old.get("ada").await, new.get("ada").await), (None, None));
}

#[tokio::test]
async fn a_cache_that_is_off_calls_through() {
    let rig = CacheCluster::new(BackendKind::Memory);
    let cache = rig.process(CacheOptions { enabled: false, ..options() }).cache::<u32>("n");
    for n in 0..3 {
        assert_eq!(cache.get_or_insert_with("key", || async { n }).await, n);
    }
    cache.insert("key", 9).await.unwrap();
    assert_eq!(cache.get("key").await, None);
    assert_eq!(rig.spy.calls(), [0; 4]);
}

#[tokio::test]
async fn a_damaged_value_is_created_again() {
    let rig = CacheCluster::new(BackendKind::Memory);
    let cache = rig.process(options()).cache::<String>("n");
    cache.insert("key", "right".into()).await.unwrap();
    let (key, entry) = rig.spy.written.lock().unwrap().last().cloned().unwrap();
    let mut damaged = entry.value.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let entry = Entry { value: damaged.into(), ..entry };
    let _ = rig.spy.put(key, entry, PutMode::Always).await.unwrap();
    assert_eq!(cache.get("key").await, None);
    assert_eq!(cache.get_or_insert_with("key", || async { "anew".into() }).await, "anew");
    assert_eq!(cache.get("key").await.as_deref(), Some("anew"));
}

on_backends! { notifications_of_the_store_update_the_memory_tier on Redis RedisSentinel; }

async fn notifications_of_the_store_update_the_memory_tier(backend: BackendKind) {
    let store_options = crate::support::store_options(Arc::new(ampoule::SystemClock));
    let process = || {
        let store = ampoule::store::open(&backend.url(std::path::Path::new("")), &store_options).unwrap();
        let long = CacheOptions { memory_expire: HOUR, ..options() };
        CacheManager::new(Backend::tiers(store, &BackendOptions::default()), long).unwrap()
    };
    let (one, other) = (process(), process());
    let (here, there) = (one.cache::<u32>("n"), other.cache::<u32>("n"));
    // Waits until the value is in memory and stays there, so that only a notification can change it.
    let settle = async |expected: Option<u32>| {
        for _ in 0..500 {
            if there.get("key").await == expected {
                return;
            }
            tokio::time::sleep(SECOND / 100).await;
        }
        panic!("{expected:?} was not seen");
    };
    here.entry("key").tags(["t"]).insert(1).await.unwrap();
    settle(Some(1)).await;
    tokio::time::sleep(SECOND / 5).await;
    settle(Some(1)).await;
    here.entry("key").tags(["t"]).insert(2).await.unwrap();
    settle(Some(2)).await;
    tokio::time::sleep(SECOND / 5).await;
    settle(Some(2)).await;
    one.invalidate_tag("t").await.unwrap();
    settle(None).await;
    here.insert("key", 3).await.unwrap();
    settle(Some(3)).await;
    here.clear().await.unwrap();
    settle(None).await;
    here.insert("key", 4).await.unwrap();
    settle(Some(4)).await;
    here.remove("key").await.unwrap();
    settle(None).await;
}

/// Without a call of the application, expired values are removed.
#[tokio::test]
async fn a_cache_sweeps_itself() {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
    let often =
        BackendOptions { sweep_interval: Some(Duration::from_millis(20)), clock: clock.clone(), ..Default::default() };
    let manager = CacheManager::new(Backend::store(store.clone(), &often), options()).unwrap();
    manager.cache::<u32>("created").get_or_insert_with("n", async || 1).await;
    manager.cache::<u32>("inserted").insert("n", 1).await.unwrap();
    assert!(!store.is_empty());
    clock.advance(48 * HOUR);
    let all_gone = async {
        while !store.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_gone).await.expect("the cache sweeps");
    drop(manager);
    let task_ends = async {
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), task_ends).await.expect("the task holds no cache that is gone");
}

#[tokio::test]
async fn expired_values_are_swept_from_memory_and_store() {
    let rig = CacheCluster::new(BackendKind::Memory);
    for manager in [in_memory(&rig.clock, options()), rig.process(options())] {
        let cache = manager.cache::<u32>("swept");
        for n in 0..100 {
            cache.entry(&n.to_string()).expire(if n < 60 { SECOND } else { HOUR }).insert(n).await.unwrap();
        }
        rig.clock.advance(SECOND);
        assert_eq!(manager.sweep(1_000).await.unwrap().removed, 60);
        assert_eq!(manager.sweep(1_000).await.unwrap().removed, 0);
        assert_eq!((cache.get("59").await, cache.get("60").await), (None, Some(60)));
    }
}
