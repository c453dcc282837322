//! Compares hits of the cache with moka's and `cached`'s, and a stampede of a thousand requests with a naive cache.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ampoule::MemoryStore;
use ampoule::cache::{Backend, BackendOptions, Cache, CacheManager, CacheOptions};
use cached::Cached;
use tokio::sync::Mutex;

use crate::alloc;

const KEYS: usize = 10_000;
const HOUR: Duration = Duration::from_secs(3_600);

type Value = Arc<str>;

/// A cache in memory, whose values live for an hour.
#[allow(clippy::large_enum_variant, reason = "there are four of them")]
enum Subject {
    Moka(moka::future::Cache<String, Value>),
    Ours(Cache<Value>),
    OursInStore(Cache<Value>),
    Cached(Mutex<cached::LruTtlCache<String, Value>>),
}

impl Subject {
    fn all() -> [Subject; 4] {
        let (options, backend) = (CacheOptions::default(), BackendOptions::default());
        let manager = |backend| CacheManager::new(backend, options.clone()).expect("the options are right");
        let in_store = Backend::store(Arc::new(MemoryStore::default()), &backend);
        [
            Subject::Moka(moka::future::Cache::builder().max_capacity(100_000).time_to_live(HOUR).build()),
            Subject::Ours(manager(Backend::memory(&backend)).cache("bench")),
            Subject::OursInStore(manager(in_store).cache("bench")),
            Subject::Cached(Mutex::new(
                cached::LruTtlCache::builder().max_size(100_000).ttl(HOUR).build().expect("the size is right"),
            )),
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Subject::Moka(_) => "moka's get",
            Subject::Ours(_) => "Ampoule, in memory",
            Subject::OursInStore(_) => "Ampoule, in the memory store, decoded on each hit",
            Subject::Cached(_) => "`cached`, behind tokio's mutex",
        }
    }

    async fn insert(&self, key: &str, value: Value) {
        match self {
            Subject::Moka(cache) => cache.insert(key.to_owned(), value).await,
            Subject::Ours(cache) | Subject::OursInStore(cache) => cache.insert(key, value).await.expect("it is small"),
            Subject::Cached(cache) => drop(cache.lock().await.cache_set(key.to_owned(), value)),
        }
    }

    /// Gets a value as an application does: with a function that creates it, if the cache takes one.
    async fn get(&self, key: &str) -> Value {
        match self {
            Subject::Moka(cache) => cache.get(key).await.expect("the value exists"),
            Subject::Ours(cache) | Subject::OursInStore(cache) => {
                cache.get_or_insert_with(key, || async { unreachable!("the value exists") }).await
            }
            Subject::Cached(cache) => cache.lock().await.cache_get(key).cloned().expect("the value exists"),
        }
    }
}

pub fn print(runtime: &tokio::runtime::Runtime) {
    println!("| a hit among {KEYS} values | time | allocations | ratio |");
    println!("|---|---|---|---|");
    let keys: Vec<String> = (0..KEYS).map(|number| format!("article:{number}")).collect();
    let subjects = Subject::all();
    let mut rounds: [Vec<f64>; 4] = Default::default();
    let mut allocations = [0; 4];
    runtime.block_on(async {
        for subject in &subjects {
            for key in &keys {
                subject.insert(key, Arc::from("x".repeat(100))).await;
            }
        }
        for _ in 0..31 {
            for (at, subject) in subjects.iter().enumerate() {
                let (calls, started) = (alloc::calls(), Instant::now());
                let mut length = 0;
                for step in 0..20_000 {
                    length += subject.get(&keys[step * 7_919 % KEYS]).await.len();
                }
                assert_eq!(length, 2_000_000);
                rounds[at].push(started.elapsed().as_nanos() as f64 / 20_000.0);
                allocations[at] = (alloc::calls() - calls + 10_000) / 20_000;
            }
        }
    });
    let times = rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    for ((subject, time), allocations) in subjects.iter().zip(times).zip(allocations) {
        println!("| {} | {time:.0} ns | {allocations} | {:.2} |", subject.name(), time / times[0]);
    }
    println!();
    stampede();
}

/// A naive cache without single flight: concurrent requests each create the value.
#[derive(Default)]
struct Naive(Mutex<HashMap<String, u64>>);

impl Naive {
    async fn get(&self, key: &str, create: impl AsyncFnOnce() -> u64) -> u64 {
        if let Some(value) = self.0.lock().await.get(key) {
            return *value;
        }
        let value = create().await;
        self.0.lock().await.insert(key.to_owned(), value);
        value
    }
}

fn stampede() {
    println!(
        "| 1,000 concurrent requests for a missing key, created in 20 ms | times created | time until all have it |"
    );
    println!("|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("a runtime");
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default());
    let ours = manager.expect("the options are right").cache::<u64>("bench");
    let in_store = Backend::store(Arc::new(MemoryStore::default()), &BackendOptions::default());
    let in_store =
        CacheManager::new(in_store, CacheOptions::default()).expect("the options are right").cache::<u64>("bench");
    let moka = moka::future::Cache::<String, u64>::new(100_000);
    let naive = Arc::new(Naive::default());
    runtime.block_on(async {
        print_stampede("a map behind a mutex", |created| {
            let naive = Arc::clone(&naive);
            async move { naive.get("key", async || create_slowly(&created).await).await }
        })
        .await;
        print_stampede("moka's get_with", |created| {
            let moka = moka.clone();
            async move { moka.get_with("key".to_owned(), async { create_slowly(&created).await }).await }
        })
        .await;
        print_stampede("Ampoule, in memory", |created| {
            let ours = ours.clone();
            async move { ours.get_or_insert_with("key", || async { create_slowly(&created).await }).await }
        })
        .await;
        print_stampede("Ampoule, in a store, with a lease", |created| {
            let ours = in_store.clone();
            async move {
                let create = || async { Ok::<_, Infallible>(create_slowly(&created).await) };
                ours.get_or_try_insert_with("key", create).await.expect("it never fails")
            }
        })
        .await;
    });
}

async fn create_slowly(created: &AtomicUsize) -> u64 {
    created.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    7
}

/// Requests one value 1,000 times at once, and prints how often it was created and how long all of it took.
async fn print_stampede<F: Future<Output = u64> + Send + 'static>(name: &str, get: impl Fn(Arc<AtomicUsize>) -> F) {
    let created = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..1_000).map(|_| tokio::spawn(get(Arc::clone(&created)))).collect();
    for task in tasks {
        assert_eq!(task.await.expect("it does not panic"), 7);
    }
    println!("| {name} | {} | {:.0?} |", created.load(Ordering::Relaxed), started.elapsed());
}
