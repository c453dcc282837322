//! The heap memory of a cache stays within its bounds, however many namespaces, tags and callers there are.
//!
//! This is a single test, since the counter counts the whole process.

use std::alloc::System;
use std::sync::Arc;

use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule_core::MemoryBounds;
use cap::Cap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;
fn bounds() -> MemoryBounds {
    MemoryBounds { entries: 100_000, bytes: MIB, ..MemoryBounds::default() }
}

/// With `AMPOULE_SEARCH=N`, N times as many.
fn many() -> usize {
    50_000 * std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn manager(backend: Backend) -> CacheManager {
    CacheManager::new(backend, CacheOptions::default()).unwrap()
}

fn in_memory() -> CacheManager {
    manager(Backend::memory(&BackendOptions { bounds: bounds(), ..BackendOptions::default() }))
}

#[tokio::test]
async fn the_memory_of_a_cache_is_bounded() {
    let mut held = Vec::new();
    for (what, most) in [
        ("namespaces", namespaces(&in_memory()).await),
        ("versions", versions(&in_memory()).await),
        ("tags", tags(&in_memory()).await),
        ("tags that are invalidated", invalidated_tags(&in_memory()).await),
        ("namespaces that are cleared", cleared_namespaces(&in_memory()).await),
        ("values that are removed", removed_values(&in_memory()).await),
        ("callers", callers(&in_memory()).await),
    ] {
        held.push(format!("{what}: {} KiB", most / 1024));
        assert!(most <= 3 * MIB, "{held:?}");
    }
    println!("{held:#?}");
}

/// The growth of the heap since the beginning.
struct Measure(usize);

impl Measure {
    fn begin() -> Measure {
        Measure(HEAP.allocated())
    }

    fn held(&self) -> usize {
        HEAP.allocated().saturating_sub(self.0)
    }
}

async fn namespaces(manager: &CacheManager) -> usize {
    let measure = Measure::begin();
    for number in 0..many() {
        manager.cache::<u32>(&format!("tenant {number}")).insert("key", 1).await.unwrap();
    }
    measure.held()
}

async fn versions(manager: &CacheManager) -> usize {
    let cache = manager.cache::<u32>("numbers");
    let measure = Measure::begin();
    for number in 0..many() as u32 {
        cache.with_version(number).insert("key", 1).await.unwrap();
    }
    measure.held()
}

/// The 64 tags of a value take more memory than the value.
async fn tags(manager: &CacheManager) -> usize {
    let cache = manager.cache::<u32>("numbers");
    let measure = Measure::begin();
    for number in 0..many() / 20 {
        let tags = (0..64).map(|tag| format!("{number}:{tag}"));
        cache.entry(&number.to_string()).tags(tags).insert(1).await.unwrap();
    }
    measure.held()
}

async fn invalidated_tags(manager: &CacheManager) -> usize {
    let measure = Measure::begin();
    for number in 0..many() {
        manager.invalidate_tag(&format!("user:{number}")).await.unwrap();
    }
    measure.held()
}

async fn cleared_namespaces(manager: &CacheManager) -> usize {
    let measure = Measure::begin();
    for number in 0..many() {
        manager.clear(&format!("tenant {number}")).await.unwrap();
    }
    measure.held()
}

async fn removed_values(manager: &CacheManager) -> usize {
    let cache = manager.cache::<u32>("numbers");
    let measure = Measure::begin();
    for number in 0..many() {
        cache.remove(&number.to_string()).await.unwrap();
    }
    measure.held()
}

/// Half of the callers wait for others, each pair for another value; then all have ended.
async fn callers(manager: &CacheManager) -> usize {
    let cache = manager.cache::<u32>("numbers");
    let gate = Arc::new(Semaphore::new(0));
    let measure = Measure::begin();
    let mut callers = JoinSet::new();
    for number in 0..2 * many() {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        callers.spawn(async move {
            let create = || async { gate.acquire().await.map_or(0, |_| 1) };
            cache.get_or_insert_with(&(number / 2).to_string(), create).await
        });
    }
    while cache.stats().misses < 2 * many() as u64 {
        tokio::task::yield_now().await;
    }
    gate.close();
    callers.join_all().await;
    measure.held()
}
