//! What a memory store counts, and what it removes when it is full.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Entry, ErrorKind, ManualClock, MemoryBounds, MemoryStore, PutMode, PutResult, Store, StoreKey, Tag, Version,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn bounded(entries: usize, bytes: usize) -> (MemoryStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (MemoryStore::new(MemoryBounds { entries, bytes, ..MemoryBounds::default() }, clock.clone()), clock)
}

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn entry(lifetime: Duration, tag: Option<Tag>) -> Entry {
    Entry { value: vec![7; 100].into(), lifetime, tag }
}

fn stored(result: PutResult) -> Version {
    let PutResult::Stored(version) = result else { panic!("a conflict") };
    version
}

async fn put(store: &MemoryStore, number: u64) -> Version {
    stored(store.put(key(number), entry(HOUR, None), PutMode::Create).await.unwrap())
}

async fn put_evictable(store: &MemoryStore, number: u64) -> Version {
    stored(store.put_evictable(key(number), entry(HOUR, None), PutMode::Create).await.unwrap())
}

async fn has(store: &MemoryStore, number: u64) -> bool {
    store.get(key(number)).await.unwrap().is_some()
}

#[tokio::test]
async fn p9_a_full_store_removes_the_oldest_evictable_value_and_no_other() {
    let (store, _) = bounded(100, 1 << 20);
    for number in 0..50 {
        put(&store, number).await;
        put_evictable(&store, 1_000 + number).await;
    }
    for number in 0..500 {
        put_evictable(&store, 2_000 + number).await;
        assert_eq!(store.len(), 100);
        assert!(has(&store, 2_000 + number.saturating_sub(49)).await, "{number}: of the last 50 all are there");
        assert!(!has(&store, 1_000 + number.min(49)).await, "{number}: the oldest goes first");
    }
    for number in 0..50 {
        put(&store, 100 + number).await;
    }
    for number in 0..50 {
        assert!(has(&store, number).await && has(&store, 100 + number).await);
    }
    let refused = [
        store.put(key(9_999), entry(HOUR, None), PutMode::Create).await,
        store.put_evictable(key(9_999), entry(HOUR, None), PutMode::Create).await,
    ];
    assert!(refused.into_iter().all(|put| put.unwrap_err().kind() == ErrorKind::Full));
}

#[tokio::test]
async fn p9_a_put_makes_a_value_unevictable_and_a_touch_does_not() {
    let (store, _) = bounded(10, 1 << 20);
    let (changed, touched) = (put_evictable(&store, 0).await, put_evictable(&store, 1).await);
    stored(store.put(key(0), entry(HOUR, None), PutMode::Replace(changed)).await.unwrap());
    assert!(store.touch(key(1), touched, 2 * HOUR).await.unwrap());
    for number in 2..30 {
        put_evictable(&store, number).await;
    }
    assert!(has(&store, 0).await);
    assert!(!has(&store, 1).await);
}

/// The submitted form is the oldest, and grows when no byte is left.
#[tokio::test]
async fn p9_a_rewritten_value_is_not_evicted_to_make_room_for_itself() {
    let (store, _) = bounded(1_000, 10_000);
    let version = put_evictable(&store, 0).await;
    while store.len() < 43 {
        put_evictable(&store, 1 + store.len() as u64).await;
    }
    assert!(has(&store, 0).await);
    let larger = Entry { value: vec![7; 400].into(), ..entry(HOUR, None) };
    stored(store.put(key(0), larger, PutMode::Replace(version)).await.unwrap());
    assert!(has(&store, 0).await && !has(&store, 2).await);
}

#[tokio::test]
async fn p9_expired_values_are_removed_before_evictable_ones() {
    let (store, clock) = bounded(10, 1 << 20);
    for number in 0..5 {
        put_evictable(&store, number).await;
        stored(store.put(key(100 + number), entry(HOUR / 2, None), PutMode::Create).await.unwrap());
    }
    clock.advance(HOUR / 2);
    for number in 200..205 {
        put(&store, number).await;
    }
    for number in 0..5 {
        assert!(has(&store, number).await, "{number}");
    }
}

/// Versions and slots are reused, and the list of evictable values must neither grow nor name other values.
#[tokio::test]
async fn p9_the_list_of_evictable_values_does_not_grow() {
    let (store, _) = bounded(1_000, 1 << 20);
    let allocated = allocation_counter::measure(|| {
        for number in 0..400_000 {
            let reply = store.put_evictable(key(7), entry(HOUR, None), PutMode::Always).try_now();
            assert!(reply.is_ok(), "{number}");
        }
    });
    assert!(allocated.bytes_current < 200_000, "{} bytes for one value", allocated.bytes_current);
}

/// Bots request form after form: each replaces another, and none may leave anything behind.
#[tokio::test]
async fn p9_a_flood_of_evictable_values_leaves_nothing_behind() {
    let (store, _) = bounded(1_000, 1 << 20);
    let flood = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            assert!(store.put_evictable(key(number), entry(HOUR, None), PutMode::Create).try_now().is_ok());
        }
    };
    flood(0..100_000);
    let allocated = allocation_counter::measure(|| flood(100_000..300_000));
    assert!(allocated.bytes_current < 50_000, "{} bytes more", allocated.bytes_current);
}

/// One thread writes the same key repeatedly while others list its tag.
#[test]
fn p2_a_list_by_tag_misses_no_value_that_is_being_replaced() {
    let (store, _) = bounded(100, 1 << 20);
    let tag = Tag::of("ada");
    let write = |mode| stored(store.put(key(1), entry(HOUR, Some(tag)), mode).try_now().unwrap().unwrap());
    let _ = write(PutMode::Create);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..100_000 {
                let _ = write(PutMode::Always);
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(store.keys_with_tag(tag).try_now().unwrap().unwrap(), [key(1)]);
        }
    });
}

/// Their deadlines are within seconds of each other, in the same bucket of the index.
#[tokio::test]
async fn p9_a_sweep_of_values_that_are_about_to_expire_ends() {
    let (store, clock) = bounded(10_000, 1 << 24);
    for number in 0..5_000 {
        let lifetime = Duration::from_millis(1_000 + number % 2 * 500);
        stored(store.put(key(number), entry(lifetime, None), PutMode::Create).await.unwrap());
    }
    assert!(!store.sweep(10).await.unwrap().more, "none of those that were looked at has expired");
    clock.advance(Duration::from_millis(1_200));
    let (mut removed, mut rounds) = (0, 0);
    while removed < 2_500 && rounds < 10_000 {
        removed += store.sweep(20).await.unwrap().removed;
        rounds += 1;
    }
    assert_eq!((removed, store.len()), (2_500, 2_500), "after {rounds} rounds");
    assert!(!store.sweep(20).await.unwrap().more);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_parallel_writers_of_a_full_store_all_find_room() {
    let (store, _) = bounded(64, 1 << 20);
    let store = Arc::new(store);
    for number in 0..32 {
        put(&store, number).await;
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=8 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0..2_000 {
                put_evictable(&store, writer * 1_000_000 + number).await;
            }
        });
    }
    writers.join_all().await;
    for number in 0..32 {
        assert!(has(&store, number).await);
    }
    // Each writer may have made room for one value at the same time.
    assert!(store.len() < 64 + 8, "{}", store.len());
}

/// Returns the bytes on the heap for each byte that a full store counts.
fn heap_per_byte(bytes: usize, put: impl Fn(&MemoryStore, u64) -> bool) -> f64 {
    let mut kept = None;
    let allocated = allocation_counter::measure(|| {
        let (store, _) = bounded(usize::MAX, bytes);
        let _ = (0..).find(|number| !put(&store, *number));
        kept = Some(store);
    });
    drop(kept);
    allocated.bytes_current as f64 / bytes as f64
}

#[test]
fn p9_the_index_of_tags_counts_towards_the_bytes() {
    let put = |store: &MemoryStore, number, tag, evictable: bool| {
        let (key, entry) = (key(number), entry(HOUR, tag));
        let reply = match evictable {
            true => store.put_evictable(key, entry, PutMode::Always),
            false => store.put(key, entry, PutMode::Always),
        };
        reply.try_now().is_ok_and(|answer| answer.is_ok())
    };
    let each_its_own = |number: u64| Some(Tag::new(*key(!number).as_bytes()));
    let one_for_all = Some(Tag::new([7; 32]));
    // Tables double, so each kind of value has a best and a worst size.
    for megabytes in [3, 4, 5, 6, 8, 11] {
        let bytes = megabytes << 20;
        let plain = heap_per_byte(bytes, |store, number| put(store, number, None, false));
        let own = heap_per_byte(bytes, |store, number| put(store, number, each_its_own(number), false));
        let one = heap_per_byte(bytes, |store, number| put(store, number, one_for_all, false));
        let forms = heap_per_byte(bytes, |store, number| put(store, number, None, true) && store.len() as u64 > number);
        println!("{megabytes} MiB: {plain:.2}, {own:.2}, {one:.2}, {forms:.2}");
        assert!(plain < 1.25 && own < 1.0 && one < 1.0, "{megabytes} MiB: {plain:.2}, {own:.2}, {one:.2}");
        assert!(forms < 1.35, "{megabytes} MiB: {forms:.2}");
    }
}
