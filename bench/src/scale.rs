//! Sessions in memory by the million: what each takes, and what a read, a write and a sweep cost then.

use std::time::{Duration, Instant};

use ampoule::{Store, Time};
use tokio::runtime::Runtime;

use crate::{alloc, sites};

pub fn print(runtime: &Runtime) {
    println!("| sessions | bytes each | get | replace | sweep, none expired |");
    println!("|---|---|---|---|---|");
    for count in [10_000_u64, 100_000, 1_000_000] {
        runtime.block_on(row(count));
    }
}

/// A record of five small keys has about this size.
const RECORD: usize = 104;

async fn row(count: u64) {
    use ampoule::store::{Entry, Outcome, Put, StoreKey};
    let store = sites::store();
    let key = |number: u64| StoreKey::digest(&number.to_le_bytes());
    let now = Time::from(std::time::SystemTime::now());
    let entry = |number: u64| {
        let deadline = now + Duration::from_secs(86_400) + Duration::from_millis(number % 86_400_000);
        Entry { value: vec![7; RECORD].into(), deadline, tag: None }
    };
    let before = alloc::bytes();
    for number in 0..count {
        let created = store.put(key(number), entry(number), Put::Create).await.expect("there is room");
        assert!(matches!(created, Outcome::Stored(_)));
    }
    let each = (alloc::bytes() - before) as f64 / count as f64;
    let some = |number: u64| key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count);
    let keys: Vec<StoreKey> = (0..100_000).map(some).collect();
    let started = Instant::now();
    for key in &keys {
        assert!(store.get(*key).await.expect("it works").is_some());
    }
    let get = started.elapsed() / keys.len() as u32;
    let started = Instant::now();
    for key in &keys {
        let replaced = store.put(*key, entry(1), Put::Always).await.expect("it works");
        assert!(matches!(replaced, Outcome::Stored(_)));
    }
    let put = started.elapsed() / keys.len() as u32;
    let started = Instant::now();
    let swept = store.sweep(usize::MAX).await.expect("it works");
    assert_eq!(swept.removed, 0);
    println!("| {count} | {each:.0} | {get:?} | {put:?} | {:?} |", started.elapsed());
}
