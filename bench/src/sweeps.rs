//! Sweeps a store of many sessions, half of them expired, and measures the delay of other requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ampoule::ManualClock;
use ampoule::store::{self, Bytes, Entry, PutMode, Store, StoreKey, StoreOptions};
use ampoule_test_servers::{Kind, Server};

/// The maximum number of sessions that one call sweeps, as in a session layer.
const BATCH: usize = 1_000;

const HOUR: Duration = Duration::from_secs(3_600);

/// Prints the table of all stores, or of the one of this name.
pub fn print(count: u64, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    println!("{count} sessions of 200 bytes in each store, half of them expired; each call sweeps at most {BATCH}.");
    println!();
    println!(
        "| store | fill | sweep | longest call | read p50 / p99, before | during | save p50 / p99, before | during |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let folder = std::env::temp_dir().join(format!("ampoule-sweeps-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    for (name, url) in [
        ("memory", "memory:".to_owned()),
        ("file", format!("file:{}", folder.join("files").display())),
        ("sqlite", format!("sqlite:{}", folder.join("sessions.db").display())),
    ] {
        if wanted(name) {
            print_row(name, &url, count);
        }
    }
    for (name, kind) in [("postgres", Kind::PostgresDurable), ("mariadb", Kind::MariaDbDurable)] {
        if !wanted(name) {
            continue;
        }
        match Server::start(kind) {
            Some(server) => print_row(name, server.url(), count),
            None => println!("| {name} | not installed | | | | | | |"),
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    println!("\nRedis and memcached remove expired values themselves: a sweep does not call the server.");
}

fn print_row(name: &str, url: &str, count: u64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::default());
        let mut options = StoreOptions { clock: Some(clock.clone()), ..StoreOptions::default() };
        options.bounds.entries = usize::MAX;
        options.bounds.bytes = usize::MAX;
        let store = store::open(url, &options).expect("the store opens");
        let started = Instant::now();
        fill(&store, count).await;
        let filled = count as f64 / started.elapsed().as_secs_f64();
        clock.advance(2 * HOUR);
        let before = request_times(&store, count, async { tokio::time::sleep(Duration::from_secs(2)).await }).await;
        let mut longest = Duration::ZERO;
        let mut removed = 0;
        let started = Instant::now();
        let during = request_times(&store, count, async {
            loop {
                let call = Instant::now();
                let swept = store.sweep(BATCH).await.expect("a sweep");
                longest = longest.max(call.elapsed());
                removed += swept.removed;
                if !swept.more {
                    break;
                }
                // A layer waits too, so that other requests can use the store.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let took = started.elapsed();
        assert_eq!(removed, count / 2, "exactly the expired sessions are removed");
        println!(
            "| {name} | {filled:.0} per second | {:.1} s, {:.0} per second | {:.1} ms | {} | {} | {} | {} |",
            took.as_secs_f64(),
            removed as f64 / took.as_secs_f64(),
            longest.as_secs_f64() * 1e3,
            before.0,
            during.0,
            before.1,
            during.1,
        );
    });
}

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

/// Creates the sessions. Those with even numbers live for ten hours, the others for one.
async fn fill(store: &Arc<dyn Store>, count: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (store, next) = (store.clone(), next.clone());
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let lifetime = if number % 2 == 0 { 10 * HOUR } else { HOUR };
                let entry = Entry { value: Bytes::from(vec![7; 200]), lifetime, tag: None };
                let _ = store.put(key(number), entry, PutMode::Create).await.expect("a put");
            }
        });
    }
    writers.join_all().await;
}

/// Reads and saves live sessions until `work` ends, and returns the percentiles of the times of reads and of saves.
async fn request_times(store: &Arc<dyn Store>, count: u64, work: impl Future<Output = ()>) -> (String, String) {
    let stop = Arc::new(AtomicBool::new(false));
    let requests = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut reads, mut saves) = (Vec::new(), Vec::new());
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number = (number + 7_919 * 2) % count / 2 * 2;
                let read = Instant::now();
                let found = store.get(key(number)).await.expect("a read").expect("a live session");
                reads.push(read.elapsed());
                let entry = Entry { value: found.value, lifetime: 10 * HOUR, tag: None };
                let save = Instant::now();
                let _ = store.put(key(number), entry, PutMode::Replace(found.version)).await.expect("a save");
                saves.push(save.elapsed());
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            (percentiles(reads), percentiles(saves))
        })
    };
    work.await;
    stop.store(true, Ordering::Relaxed);
    requests.await.expect("the other requests end")
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
    format!("{:.0} / {:.0} us", at(50), at(99))
}
