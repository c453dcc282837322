//! The key of a cached function contains everything that the function can see: no caller gets the value of other
//! arguments.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::Log;
use ampoule::cache::{Backend, CacheKey, CacheManager, CacheOptions, cached};
use axum::extract::Path;

fn manager() -> CacheManager {
    CacheManager::new(Backend::memory(&Default::default()), CacheOptions::default()).unwrap()
}

/// All values have the same `Debug` and `Display`.
#[derive(Clone, Copy, CacheKey)]
struct UserId(u64);

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }
}

#[cached]
async fn by_pattern(caches: &CacheManager, UserId(id): UserId) -> u64 {
    id
}

#[cached]
async fn by_extractor(caches: &CacheManager, Path((id, mut page)): Path<(u64, u8)>) -> (u64, u8) {
    page += 1;
    (id, page)
}

#[cached]
async fn by_whole(caches: &CacheManager, user @ UserId(id): UserId) -> u64 {
    user.0 + id
}

#[cached(key = "of {user}")]
async fn by_template(caches: &CacheManager, user: UserId) -> u64 {
    user.0
}

#[cached(key = "{first}{second}")]
async fn by_two_texts(caches: &CacheManager, first: &str, second: &str) -> String {
    format!("{first}|{second}")
}

#[tokio::test]
async fn every_binding_of_an_argument_is_in_the_key() {
    let caches = manager();
    for id in [1, 2] {
        assert_eq!(by_pattern(&caches, UserId(id)).await, id);
        assert_eq!(by_whole(&caches, UserId(id)).await, 2 * id);
        assert_eq!(by_template(&caches, UserId(id)).await, id);
        assert_eq!(by_extractor(&caches, Path((id, 7))).await, (id, 8));
        assert_eq!(by_extractor(&caches, Path((id, 7))).await, (id, 8));
        assert_eq!(by_extractor(&caches, Path((id, 8))).await, (id, 9));
    }
    assert_eq!(by_two_texts(&caches, "a", "bc").await, "a|bc");
    assert_eq!(by_two_texts(&caches, "ab", "c").await, "ab|c");
    let hits: u64 = caches.stats().iter().map(|(_, stats)| stats.hits).sum();
    assert_eq!(hits, 2, "each of its own, but for the two that asked again");
}

#[tokio::test]
async fn the_invalidating_function_has_the_same_key() {
    let caches = manager();
    for _ in 0..2 {
        by_pattern(&caches, UserId(1)).await;
        invalidate_by_pattern(&caches, UserId(1)).await.unwrap();
        by_template(&caches, UserId(1)).await;
        invalidate_by_template(&caches, UserId(1)).await.unwrap();
        column::<Users, 1>(&caches).await;
        invalidate_column::<Users, 1>(&caches).await.unwrap();
        Repository::<Users>::name(&caches).await;
        Repository::<Users>::invalidate_name(&caches).await.unwrap();
        of_any(&caches, Orders).await;
        invalidate_of_any(&caches, Orders).await.unwrap();
    }
    assert!(caches.stats().iter().all(|(_, stats)| (stats.hits, stats.creations) == (0, 2)), "{:?}", caches.stats());
}

trait Table {
    const NAME: &'static str;
}

struct Users;
struct Orders;

impl Table for Users {
    const NAME: &'static str = "users";
}

impl Table for Orders {
    const NAME: &'static str = "orders";
}

#[cached]
async fn column<T: Table, const COLUMN: usize>(caches: &CacheManager) -> String {
    format!("{} {COLUMN}", T::NAME)
}

/// Its type cannot be named, and the argument is left out.
#[cached(skip = [_table])]
async fn of_any(caches: &CacheManager, _table: impl Table + Sync) -> String {
    async fn name<T: Table>(_: T) -> String {
        T::NAME.to_owned()
    }
    name(_table).await
}

/// Its result depends on a type that is not in its signature.
struct Repository<T>(PhantomData<T>);

impl<T: Table> Repository<T> {
    #[cached(namespace = "repositories")]
    async fn name(caches: &CacheManager) -> String {
        T::NAME.to_owned()
    }
}

#[tokio::test]
async fn type_parameters_are_in_the_key() {
    let caches = manager();
    for _ in 0..2 {
        assert_eq!(column::<Users, 1>(&caches).await, "users 1");
        assert_eq!(column::<Orders, 1>(&caches).await, "orders 1");
        assert_eq!(column::<Users, 2>(&caches).await, "users 2");
        assert_eq!(of_any(&caches, Users).await, "users");
        assert_eq!(of_any(&caches, Orders).await, "orders");
        assert_eq!(Repository::<Users>::name(&caches).await, "users");
        assert_eq!(Repository::<Orders>::name(&caches).await, "orders");
    }
    let hits: u64 = caches.stats().iter().map(|(_, stats)| stats.hits).sum();
    assert_eq!(hits, 7, "the second time each was there");
}

#[cached(namespace = "shared", key = "{id}")]
async fn name(caches: &CacheManager, id: u64) -> String {
    format!("name of {id}")
}

#[cached(namespace = "shared", key = "{id}")]
async fn mail(caches: &CacheManager, id: u64) -> String {
    format!("mail of {id}")
}

struct Shop(&'static str);
struct Mall(&'static str);

impl Shop {
    #[cached(namespace = "shared", key = "{self.0}{id}")]
    async fn open(&self, caches: &CacheManager, id: u64) -> String {
        format!("shop {} {id}", self.0)
    }
}

impl Mall {
    #[cached(namespace = "shared", key = "{self.0}{id}")]
    async fn open(&self, caches: &CacheManager, id: u64) -> String {
        format!("mall {} {id}", self.0)
    }
}

mod other {
    use super::*;

    #[cached(namespace = "shared", key = "{id}")]
    pub(super) async fn name(caches: &CacheManager, id: u64) -> String {
        format!("other name of {id}")
    }
}

#[tokio::test]
async fn functions_in_one_namespace_have_different_keys() {
    let caches = manager();
    caches.cache::<String>("shared").insert("1", "by hand".into()).await.unwrap();
    assert_eq!(name(&caches, 1).await, "name of 1");
    assert_eq!(mail(&caches, 1).await, "mail of 1");
    assert_eq!(other::name(&caches, 1).await, "other name of 1");
    assert_eq!(Shop("a").open(&caches, 1).await, "shop a 1");
    assert_eq!(Shop("b").open(&caches, 1).await, "shop b 1");
    assert_eq!(Mall("a").open(&caches, 1).await, "mall a 1");
    assert_eq!(caches.cache::<String>("shared").get("1").await.as_deref(), Some("by hand"));
    invalidate_name(&caches, 1).await.unwrap();
    assert_eq!(mail(&caches, 1).await, "mail of 1");
    let (hits, creations) = (caches.stats()[0].1.hits, caches.stats()[0].1.creations);
    assert_eq!((hits, creations), (2, 6));
}

mod before {
    use ampoule::cache::CacheKey;

    /// As [`Span`](super::Span), in another order.
    #[derive(CacheKey)]
    pub(crate) struct Span {
        pub(crate) last: u32,
        pub(crate) first: u32,
    }
}

#[derive(CacheKey)]
struct Span {
    first: u32,
    last: u32,
}

#[derive(CacheKey)]
enum Filter<'a, T, const N: usize>
where
    T: Copy,
{
    All,
    None,
    One(T),
    Some { ids: [T; N] },
    Named(&'a str),
    Text(&'a str),
}

#[derive(CacheKey)]
struct Unit;

#[derive(CacheKey)]
enum Never {}

#[test]
fn derived_keys_distinguish_variants_and_fields() {
    use ampoule::cache::KeyWriter;
    let filters: [Filter<'_, u8, 1>; 6] =
        [Filter::All, Filter::None, Filter::One(1), Filter::Some { ids: [1] }, Filter::Named("a"), Filter::Text("a")];
    let keys: Vec<KeyWriter> = filters.iter().map(KeyWriter::key_of).collect();
    for (at, key) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| other != key));
    }
    let (span, before) = (Span { first: 1, last: 2 }, before::Span { first: 2, last: 1 });
    assert_ne!(KeyWriter::key_of(&span), KeyWriter::key_of(&before));
    assert_ne!(KeyWriter::key_of(&Unit), KeyWriter::key_of(&None::<Never>));
}

/// Skips by name what the function changes, and what has no value.
#[cached(skip = [calls, log])]
async fn counted(caches: &CacheManager, id: u64, calls: Arc<AtomicU32>, log: &mut Vec<u64>) -> u64 {
    log.push(id);
    calls.fetch_add(1, Ordering::SeqCst);
    id
}

#[tokio::test]
async fn skipped_arguments_are_not_in_the_key() {
    let (caches, calls, mut log) = (manager(), Arc::new(AtomicU32::new(0)), Vec::new());
    for id in [1, 1, 2] {
        assert_eq!(counted(&caches, id, calls.clone(), &mut log).await, id);
    }
    assert_eq!((calls.load(Ordering::SeqCst), log), (2, vec![1, 2]));
}

/// Arguments with the names of the macro's own variables; the body moves one that a tag refers to.
#[cached(tags = ["of {cache}"])]
async fn names(caches: &CacheManager, cache: String, key: u8, tags: u8, create: &str) -> String {
    let mut cache = cache;
    cache.push_str(&format!("{key}{tags}{create}"));
    cache
}

#[tokio::test]
async fn arguments_may_have_any_names() {
    let caches = manager();
    for key in [1, 2] {
        assert_eq!(names(&caches, "a".into(), key, 3, "b").await, format!("a{key}3b"));
        assert_eq!(names(&caches, "a".into(), key, 3, "b").await, format!("a{key}3b"));
    }
    caches.invalidate_tag("of a").await.unwrap();
    names(&caches, "a".into(), 1, 3, "b").await;
    assert_eq!((caches.stats()[0].1.hits, caches.stats()[0].1.creations), (2, 3));
}

/// Requests its own value.
#[cached]
async fn depth(caches: &CacheManager, id: u64) -> u64 {
    match id {
        0 => 0,
        // Others of its values are fine.
        id if id < 10 => 1 + Box::pin(depth(caches, id - 1)).await,
        id => 1 + Box::pin(depth(caches, id)).await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_requests_its_own_value_fails_at_once() {
    let began = tokio::time::Instant::now();
    assert_eq!(depth(&manager(), 9).await, 9);
    let failed = tokio::spawn(async { depth(&manager(), 10).await }).await;
    let message = failed.unwrap_err().into_panic().downcast::<String>().unwrap();
    assert!(message.contains("the cache `it::cache_keys::depth` asks for that value"), "{message}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// Two tasks create the values that the other one waits for: a deadlock that is not detected at once, but logged.
#[tokio::test(start_paused = true)]
async fn a_deadlock_of_creators_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let cache = manager().cache::<u32>("knot");
    let create = |own: &'static str, other: &'static str| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inner = cache.clone();
            let create = || async move {
                tokio::task::yield_now().await;
                inner.get_or_insert_with(other, || async { 1 }).await
            };
            cache.get_or_insert_with(own, create).await
        })
    };
    let (one, other) = (create("a", "b"), create("b", "a"));
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert!(!log.text().contains("WARN"), "{}", log.text());
    assert_eq!((one.await.unwrap(), other.await.unwrap()), (1, 1));
    let warnings =
        log.text().lines().filter(|line| line.contains("WARN") && line.contains("have waited for 5s")).count();
    assert_eq!(warnings, 2, "one for each value:\n{}", log.text());
    assert!(log.text().contains("cache=\"knot\""), "{}", log.text());
}
