//! The operations of a cache on its store, with differing clocks, slow writes and open circuits.

mod scripted;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ampoule_cache::{Backend, BackendOptions, Cache, CacheManager, CacheOptions, Created};
use ampoule_core::{Clock, ManualClock};

use self::scripted::Scripted;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A store, and the clock of the processes that use it.
struct Rig {
    store: Arc<Scripted>,
    clock: Arc<ManualClock>,
}

impl Rig {
    fn new() -> Rig {
        Rig { store: Arc::default(), clock: Arc::default() }
    }

    fn process(&self) -> CacheManager {
        let options = BackendOptions { clock: self.clock.clone(), ..BackendOptions::default() };
        CacheManager::new(Backend::store(self.store.clone(), &options), CacheOptions::default()).unwrap()
    }

    fn cache(&self) -> Cache<u32> {
        self.process().cache("numbers")
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.store.clock.advance(by);
    }
}

/// The deadline of a generation is by the store's clock, which differs from the cache's by years.
#[tokio::test]
async fn the_stores_clock_does_not_change_how_long_values_live() {
    for (store_is_at, name) in [(2_000 * DAY, "behind"), (21_000 * DAY, "about right"), (40_000 * DAY, "ahead")] {
        let rig = Rig::new();
        rig.store.clock.set(ampoule_core::Time::ZERO + store_is_at);
        let cache = rig.cache();
        for step in 0..200_u32 {
            cache.entry(&step.to_string()).tags(["tag"]).insert(step).await.unwrap();
            rig.advance(20 * MINUTE);
            for young in step.saturating_sub(1)..=step {
                assert_eq!(cache.get(&young.to_string()).await, Some(young), "{name}, in step {step}");
            }
        }
        let touches = rig.store.touches();
        assert!((20..100).contains(&touches), "{name}: {touches} touches for 400 uses of a generation");
    }
}

#[tokio::test]
async fn a_generation_that_another_process_made_is_prolonged() {
    let rig = Rig::new();
    rig.cache().insert("one", 1).await.unwrap();
    rig.advance(3 * HOUR);
    let cache = rig.cache();
    cache.insert("two", 2).await.unwrap();
    rig.advance(59 * MINUTE);
    assert_eq!(cache.get("two").await, Some(2));
    rig.advance(MINUTE);
    assert_eq!(cache.get("two").await, None);
}

#[tokio::test]
async fn a_creators_expiry_may_be_longer_than_the_regions() {
    let rig = Rig::new();
    let cache = rig.cache();
    let create = || async { Ok::<_, Infallible>(Created::new(1).expire(10 * DAY)) };
    assert_eq!(cache.entry("long").tags(["tag"]).get_or_try_create_with(create).await, Ok(1));
    rig.advance(9 * DAY);
    assert_eq!(cache.get("long").await, Some(1));
    rig.advance(DAY);
    assert_eq!(cache.get("long").await, None);
}

#[tokio::test]
async fn a_value_with_a_longer_expiry_that_was_cleared_meanwhile_is_invalid() {
    let rig = Rig::new();
    let (cache, other) = (rig.cache(), rig.process());
    let create = || async {
        other.invalidate_tag("tag").await.unwrap();
        Ok::<_, Infallible>(Created::new(1).expire(10 * DAY))
    };
    assert_eq!(cache.entry("long").tags(["tag"]).get_or_try_create_with(create).await, Ok(1));
    assert_eq!(cache.get("long").await, None);
}

#[tokio::test]
async fn a_generation_that_is_replaced_just_before_it_is_prolonged_is_read_again() {
    let rig = Rig::new();
    let other = rig.process();
    other.cache::<u32>("numbers").insert("one", 1).await.unwrap();
    let cache = rig.cache();
    rig.store.before_touch(async move { other.clear("numbers").await.unwrap() });
    cache.insert("two", 2).await.unwrap();
    assert_eq!((cache.get("one").await, cache.get("two").await), (None, Some(2)));
    assert_eq!(rig.store.touches(), 2);
}

/// The mark of a removal is kept longer than creating may take, so a slow put meets it.
#[tokio::test]
async fn a_slow_put_does_not_bring_a_removed_value_back() {
    let rig = Rig::new();
    let (cache, other) = (rig.cache(), rig.cache());
    let value = cache.get_or_insert_with("key", || async {
        other.remove("key").await.unwrap();
        rig.advance(Duration::from_secs(299));
        let clock = rig.store.clock.clone();
        rig.store.before_put(async move { clock.advance(Duration::from_secs(30)) });
        7
    });
    assert_eq!(value.await, 7);
    assert_eq!(other.get("key").await, None);
}

/// A write that was sent twice may have met the mark of a removal the second time.
#[tokio::test]
async fn a_value_whose_put_has_an_unknown_outcome_is_not_shared() {
    let rig = Rig::new();
    let other = rig.cache();
    let options = BackendOptions { clock: rig.clock.clone(), ..BackendOptions::default() };
    let tiers = Backend::tiers(rig.store.clone(), &options);
    let cache = CacheManager::new(tiers, CacheOptions::default()).unwrap().cache::<u32>("numbers");
    let value = cache.get_or_insert_with("key", || async {
        other.remove("key").await.unwrap();
        rig.store.lose_a_put();
        7
    });
    assert_eq!(value.await, 7);
    assert_eq!(cache.get("key").await, None);
    assert_eq!(cache.get_or_insert_with("key", || async { 8 }).await, 8);
    assert_eq!(cache.get("key").await, Some(8));
}

#[tokio::test]
async fn a_value_is_stored_if_creating_it_took_at_most_five_minutes() {
    for (took, kept) in [(300, true), (301, false)] {
        let rig = Rig::new();
        let cache = rig.cache();
        let value = cache.get_or_insert_with("key", || async {
            rig.advance(Duration::from_secs(took));
            7
        });
        assert_eq!(value.await, 7);
        assert_eq!(cache.get("key").await.is_some(), kept, "creating took {took} s");
    }
}

/// More concurrent operations than a half-open circuit admits. Those that it admits must complete, or it would never
/// close.
#[tokio::test(start_paused = true)]
async fn p10_a_store_that_answers_again_is_used_again_also_by_values_with_many_tags() {
    let rig = Rig::new();
    let cache = rig.cache();
    let insert = async || {
        let tags = (0..20).map(|n| format!("tag {n}"));
        cache.entry("key").tags(tags).insert(1).await
    };
    rig.store.set_down(true);
    let before = rig.clock.now();
    while !insert().await.unwrap_err().to_string().contains("circuit open") {}
    rig.store.set_down(false);
    assert!(insert().await.unwrap_err().to_string().contains("cache store: circuit open for reads"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(insert().await.is_err(), "21 reads are more than a half-open circuit tries");
    insert().await.unwrap();
    assert_eq!(cache.get("key").await, Some(1));
    assert_eq!(rig.clock.now(), before);
}
