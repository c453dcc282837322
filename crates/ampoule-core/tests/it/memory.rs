//! The memory store keeps the contract, and its own bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::conformance::{CHECKS, Subject, assert_conforms};
use ampoule_core::{
    Clock, Entry, ErrorKind, ManualClock, MemoryBounds, MemoryStore, PutMode, PutResult, Store, StoreKey, SweepReport,
    Tag, Version,
};
use proptest::prelude::*;
use tokio::task::JoinSet;

fn bounded(entries: usize, bytes: usize) -> (MemoryStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (MemoryStore::new(MemoryBounds { entries, bytes, ..MemoryBounds::default() }, clock.clone()), clock)
}

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn entry(seconds: u64, len: usize) -> Entry {
    Entry { value: vec![7; len].into(), lifetime: Duration::from_secs(seconds), tag: None }
}

async fn put(store: &MemoryStore, key: StoreKey, entry: Entry, mode: PutMode) {
    assert!(matches!(store.put(key, entry, mode).await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        Subject::new(Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone())), Some(clock))
    })
    .await;
}

/// Without a clock, as for a store whose server keeps the time: all checks run at once, and wait in real time.
#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_by_the_wall_clock() {
    let store = Arc::new(MemoryStore::default());
    let mut checks = JoinSet::new();
    for check in CHECKS {
        let subject = Subject::new(store.clone(), None);
        checks.spawn(async move { check.run(subject).await.map_err(|found| format!("{}: {found}", check.name)) });
    }
    let found: Vec<_> = checks.join_all().await.into_iter().filter_map(Result::err).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn p9_a_full_store_returns_an_error_and_evicts_no_session() {
    let (store, _) = bounded(10, 1 << 20);
    for number in 0..10 {
        put(&store, key(number), entry(60, 10), PutMode::Create).await;
    }
    let error = store.put(key(10), entry(60, 10), PutMode::Create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(error.to_string(), "the memory store is full: it may hold 10 values in 1048576 bytes");
    for number in 0..10 {
        assert!(store.get(key(number)).await.unwrap().is_some());
        assert!(matches!(store.put(key(number), entry(60, 20), PutMode::Always).await.unwrap(), PutResult::Stored(_)));
    }
}

#[tokio::test]
async fn p9_bytes_are_bounded_too() {
    let (store, _) = bounded(1_000, 10_000);
    put(&store, key(0), entry(60, 9_000), PutMode::Create).await;
    assert_eq!(store.put(key(1), entry(60, 1_000), PutMode::Create).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.put(key(0), entry(60, 11_000), PutMode::Always).await.unwrap_err().kind(), ErrorKind::Full);
    put(&store, key(0), entry(60, 100), PutMode::Always).await;
    put(&store, key(1), entry(60, 1_000), PutMode::Create).await;
}

#[tokio::test]
async fn p9_expired_values_make_room_before_a_sweep() {
    let (store, clock) = bounded(10_000, 1 << 30);
    for number in 0..10_000 {
        put(&store, key(number), entry(1, 10), PutMode::Create).await;
    }
    let error = store.put(key(10_000), entry(60, 10), PutMode::Create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    clock.advance(Duration::from_secs(2));
    for number in 10_000..20_000 {
        put(&store, key(number), entry(60, 10), PutMode::Create).await;
    }
    assert_eq!(store.len(), 10_000);
    for number in 10_000..20_000 {
        assert!(store.get(key(number)).await.unwrap().is_some(), "a live session was evicted");
    }
}

/// The first live session that is examined would use up a budget of one.
#[tokio::test]
async fn p9_a_sweep_examines_no_live_session() {
    let (store, clock) = bounded(1_000_000, 1 << 30);
    for number in 0..100_000 {
        put(&store, key(number), entry(3_600, 10), PutMode::Create).await;
    }
    assert_eq!(store.sweep(1).await.unwrap(), SweepReport { removed: 0, more: false });
    put(&store, key(100_000), entry(1, 10), PutMode::Create).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(store.sweep(1).await.unwrap(), SweepReport { removed: 1, more: false });
}

#[tokio::test]
async fn p9_insertions_and_removals_leave_nothing_behind() {
    let (store, clock) = bounded(1_000_000, 1 << 30);
    for number in 0..200_000 {
        let tagged = Entry { tag: Some(Tag::of("ada")), ..entry(1_000_000, 10) };
        put(&store, key(number), tagged, PutMode::Create).await;
        store.delete(key(number)).await.unwrap();
    }
    assert!(store.is_empty());
    assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap(), []);
    clock.advance(Duration::from_secs(2_000_000));
    let swept = store.sweep(200_000).await.unwrap();
    assert!(swept.removed == 0 && !swept.more, "stale entries of the index are bounded: {swept:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Create(u64, u64),
    Replace(u64, u64),
    Always(u64, u64),
    Touch(u64, u64),
    TouchAnother(u64, u64),
    Delete(u64),
    Get(u64),
    Sweep,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u64..6;
    let life = 0_u64..60;
    prop_oneof![
        (key.clone(), life.clone()).prop_map(|(k, l)| Step::Create(k, l)),
        (key.clone(), life.clone()).prop_map(|(k, l)| Step::Replace(k, l)),
        (key.clone(), life.clone()).prop_map(|(k, l)| Step::Always(k, l)),
        (key.clone(), life.clone()).prop_map(|(k, l)| Step::Touch(k, l)),
        (key.clone(), life).prop_map(|(k, l)| Step::TouchAnother(k, l)),
        key.clone().prop_map(Step::Delete),
        key.prop_map(Step::Get),
        Just(Step::Sweep),
        (0_u64..40).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Any sequence of operations returns what a plain map would.
    #[test]
    fn it_answers_as_a_plain_map_does(steps in proptest::collection::vec(step(), 1..200)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (store, clock) = bounded(1_000, 1 << 20);
            let mut plain: HashMap<u64, (Version, ampoule_core::Time)> = HashMap::new();
            for step in steps {
                let now = clock.now();
                plain.retain(|_, (_, deadline)| *deadline > now);
                match step {
                    Step::Create(k, life) | Step::Replace(k, life) | Step::Always(k, life) => {
                        let present = plain.get(&k).map(|(version, _)| *version);
                        let (mode, holds) = match step {
                            Step::Create(..) => (PutMode::Create, present.is_none()),
                            Step::Replace(..) => (PutMode::Replace(present.unwrap_or(Version(0))), present.is_some()),
                            _ => (PutMode::Always, true),
                        };
                        match store.put(key(k), entry(life, 5), mode).await.unwrap() {
                            PutResult::Stored(version) => {
                                assert!(holds);
                                plain.insert(k, (version, now + Duration::from_secs(life)));
                            }
                            PutResult::Conflict => assert!(!holds),
                        }
                    }
                    Step::Touch(k, life) => {
                        let version = plain.get(&k).map_or(Version(0), |(version, _)| *version);
                        let there = store.touch(key(k), version, Duration::from_secs(life)).await.unwrap();
                        assert_eq!(there, plain.contains_key(&k));
                        if let Some((_, deadline)) = plain.get_mut(&k) {
                            *deadline = (*deadline).max(now + Duration::from_secs(life));
                        }
                    }
                    Step::TouchAnother(k, life) => {
                        let another = plain.get(&k).map_or(Version(1), |(version, _)| Version(version.0 + 1));
                        assert!(!store.touch(key(k), another, Duration::from_secs(life)).await.unwrap());
                    }
                    Step::Delete(k) => assert_eq!(store.delete(key(k)).await.unwrap(), plain.remove(&k).is_some()),
                    Step::Get(k) => {
                        let stored = store.get(key(k)).await.unwrap().map(|stored| (stored.version, stored.deadline));
                        assert_eq!(stored, plain.get(&k).copied());
                    }
                    Step::Sweep => drop(store.sweep(1_000).await.unwrap()),
                    Step::Wait(seconds) => clock.advance(Duration::from_secs(seconds)),
                }
            }
            store.sweep(1_000).await.unwrap();
            let now = clock.now();
            assert_eq!(store.len(), plain.values().filter(|(_, deadline)| *deadline > now).count());
        });
    }
}
