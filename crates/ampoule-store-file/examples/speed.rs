//! Measures each operation in a folder: `cargo run --release -p ampoule-store-file --example speed -- FOLDER`.
//!
//! One caller does one operation after another, with values of 300 bytes: this is what a request waits for, not what a
//! machine can do. Pass a folder on the disk that will be used, and one in memory (`/dev/shm`) to see how much of the
//! time is the disk's.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Entry, PutMode, PutResult, Store, StoreKey, Tag, Version};
use ampoule_store_file::{Durability, FileOptions, FileStore};

const COUNT: u64 = 500;

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn entry(tag: Option<Tag>) -> Entry {
    Entry { value: vec![b'x'; 300].into(), lifetime: Duration::from_secs(60), tag }
}

/// Returns the median time of one operation on each key.
async fn time<F: Future>(mut operation: impl FnMut(u64) -> F) -> Duration {
    let mut times = Vec::new();
    for number in 0..COUNT {
        let started = Instant::now();
        operation(number).await;
        times.push(started.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// Writes all keys once more, and returns the versions.
async fn versions(store: &FileStore) -> Result<Vec<Version>, ampoule_core::Error> {
    let mut versions = Vec::new();
    for number in 0..COUNT {
        if let PutResult::Stored(version) = store.put(key(number), entry(None), PutMode::Always).await? {
            versions.push(version);
        }
    }
    Ok(versions)
}

async fn measure(folder: &Path, durability: Durability) -> Result<(), ampoule_core::Error> {
    let store = Arc::new(FileStore::open(folder, FileOptions { durability, ..FileOptions::default() })?);
    let put = |number, mode, tag| {
        let store = store.clone();
        async move { store.put(key(number), entry(tag), mode).await.is_ok() }
    };
    let tag = Some(Tag::of("ada"));
    println!("{}", store.describe());
    println!("  create        {:>10.1?}", time(|number| put(number, PutMode::Create, None)).await);
    println!("  replace       {:>10.1?}", time(|number| put(number, PutMode::Always, None)).await);
    println!("  tag           {:>10.1?}", time(|number| put(number, PutMode::Always, tag)).await);
    println!("  replace, tag  {:>10.1?}", time(|number| put(number, PutMode::Always, tag)).await);
    println!("  get           {:>10.1?}", time(|number| store.get(key(number))).await);
    let versions = versions(&store).await?;
    let later = Duration::from_secs(120);
    println!(
        "  touch         {:>10.1?}",
        time(|number| store.touch(key(number), versions[number as usize], later)).await
    );
    println!("  delete        {:>10.1?}", time(|number| store.delete(key(number))).await);
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).ok_or("name a folder in which sessions may be made")?;
    for durability in [Durability::None, Durability::Process, Durability::Power] {
        let folder = Path::new(&parent).join(format!("ampoule-speed-{}", std::process::id()));
        let measured = measure(&folder, durability).await;
        std::fs::remove_dir_all(&folder)?;
        measured?;
    }
    Ok(())
}
