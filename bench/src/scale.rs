//! Millions of sessions in memory: bytes per session, and the times of reads, writes and sweeps.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ampoule::store::{Bytes, Entry, PutMode, PutResult, StoreKey};
use ampoule::{ManualClock, MemoryBounds, MemoryStore, Store};
use tokio::runtime::Runtime;

use crate::{alloc, plot};

const COUNTS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// The approximate size of a record of five small keys, in bytes.
const RECORD_SIZE: usize = 104;

const HOUR: Duration = Duration::from_secs(3_600);

struct Row {
    bytes: f64,
    get: f64,
    /// The same for std's `HashMap` behind a lock, with the same keys and values.
    map_get: f64,
    replace: f64,
    sweep_none: Duration,
    sweep_a_hundredth: f64,
    sweep_half: f64,
}

/// Prints the table. Draws the curves into files of the folder, if one is given.
pub fn print(runtime: &Runtime, folder: Option<&str>) {
    println!(
        "| sessions | bytes per session | get | get of a `HashMap` | replace | sweep, none expired | sweep per expired session, 1 % expired | sweep per expired session, half expired |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = COUNTS.map(|count| {
        let row = runtime.block_on(measure(count));
        println!(
            "| {count} | {:.0} | {:.0} ns | {:.0} ns | {:.0} ns | {:.1?} | {:.0} ns | {:.0} ns |",
            row.bytes, row.get, row.map_get, row.replace, row.sweep_none, row.sweep_a_hundredth, row.sweep_half
        );
        row
    });
    let Some(folder) = folder else { return };
    let of = |value: fn(&Row) -> f64| rows.iter().map(value).collect::<Vec<f64>>();
    let times = [
        ("get", of(|row| row.get)),
        ("get of a HashMap", of(|row| row.map_get)),
        ("replace", of(|row| row.replace)),
        ("sweep per expired session", of(|row| row.sweep_half)),
        ("sweep, none expired", of(|row| row.sweep_none.as_nanos() as f64)),
    ];
    let title = "Memory store: time of an operation by the number of sessions";
    plot::write(&format!("{folder}/scale-times.svg"), &plot::curves(title, "ns", &COUNTS, &times));
    let bytes = [("bytes per session", of(|row| row.bytes))];
    let title = "Memory store: bytes per session of five small keys";
    plot::write(&format!("{folder}/scale-bytes.svg"), &plot::curves(title, "bytes", &COUNTS, &bytes));
}

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

/// Of a hundred sessions, one ends in an hour, 49 end in two hours, and the others after a day or later.
fn entry(number: u64) -> Entry {
    let lifetime = match number {
        _ if number.is_multiple_of(100) => HOUR,
        _ if number.is_multiple_of(2) => 2 * HOUR,
        _ => 24 * HOUR + Duration::from_millis(number % 86_400_000),
    };
    Entry { value: Bytes::from(vec![7; RECORD_SIZE]), lifetime, tag: None }
}

async fn measure(count: u64) -> Row {
    let clock = Arc::new(ManualClock::default());
    let bounds = MemoryBounds { entries: usize::MAX, bytes: usize::MAX, ..MemoryBounds::default() };
    let store = MemoryStore::new(bounds, clock.clone());
    let before = alloc::bytes();
    for number in 0..count {
        let created = store.put(key(number), entry(number), PutMode::Create).await.expect("there is room");
        assert!(matches!(created, PutResult::Stored(_)));
    }
    let bytes = (alloc::bytes() - before) as f64 / count as f64;
    let numbers: Vec<u64> = (0..200_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count).collect();
    let keys: Vec<StoreKey> = numbers.iter().map(|number| key(*number)).collect();
    let started = Instant::now();
    for key in &keys {
        assert!(store.get(*key).await.expect("no error").is_some());
    }
    let get = nanoseconds_per(started, keys.len());
    let entries: Vec<Entry> = numbers.iter().map(|number| entry(*number)).collect();
    let started = Instant::now();
    for (key, entry) in keys.iter().zip(entries) {
        let replaced = store.put(*key, entry, PutMode::Always).await.expect("no error");
        assert!(matches!(replaced, PutResult::Stored(_)));
    }
    let replace = nanoseconds_per(started, keys.len());
    let started = Instant::now();
    assert_eq!(store.sweep(usize::MAX).await.expect("no error").removed, 0);
    let sweep_none = started.elapsed();
    clock.advance(HOUR + HOUR / 2);
    let sweep_a_hundredth = sweep(&store, count / 100).await;
    clock.advance(HOUR);
    let sweep_half = sweep(&store, count / 2 - count / 100).await;
    drop(store);
    Row { bytes, get, map_get: hash_map_get(count, &keys), replace, sweep_none, sweep_a_hundredth, sweep_half }
}

/// Measures the same reads in a `HashMap`, to show the cost of the memory itself.
fn hash_map_get(count: u64, keys: &[StoreKey]) -> f64 {
    let map: HashMap<StoreKey, Box<[u8]>> =
        (0..count).map(|number| (key(number), vec![7; RECORD_SIZE].into())).collect();
    let map = Mutex::new(map);
    let started = Instant::now();
    for key in keys {
        let map = map.lock().expect("nothing panics while it is held");
        assert!(black_box(map.get(key).map(|value| Bytes::copy_from_slice(value))).is_some());
    }
    nanoseconds_per(started, keys.len())
}

async fn sweep(store: &MemoryStore, expired: u64) -> f64 {
    // The next large allocation makes the allocator merge the small blocks that were freed before. It happens here, so
    // that it is not measured as part of the sweep.
    drop(black_box(vec![0_u8; 1 << 16]));
    let started = Instant::now();
    assert_eq!(store.sweep(usize::MAX).await.expect("no error").removed, expired);
    nanoseconds_per(started, expired as usize)
}

fn nanoseconds_per(started: Instant, count: usize) -> f64 {
    started.elapsed().as_nanos() as f64 / count as f64
}
