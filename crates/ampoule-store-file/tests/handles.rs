//! How many files and folders the store holds open. It is a test binary of its own, since it counts those of the
//! process.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampoule_core::{Entry, PutMode, PutResult, Store, StoreKey, Tag};
use ampoule_store_file::{FileOptions, FileStore};
use tokio::task::JoinSet;

/// The limit in the documentation of the store.
const MAX_HANDLES: usize = 112;

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn open_in(folder: &Path) -> usize {
    let handles = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    handles.filter(|handle| std::fs::read_link(handle.path()).is_ok_and(|path| path.starts_with(folder))).count()
}

async fn use_key(store: FileStore, number: u64) {
    let entry = Entry { value: "x".into(), lifetime: Duration::from_secs(3_600), tag: Some(Tag::of("ada")) };
    let put = store.put(key(number), entry, PutMode::Create).await.unwrap();
    let PutResult::Stored(version) = put else { panic!("a conflict for a new key") };
    assert!(store.get(key(number)).await.unwrap().is_some());
    assert!(store.touch(key(number), version, Duration::from_secs(7_200)).await.unwrap());
    if number.is_multiple_of(500) {
        store.keys_with_tag(Tag::of("ada")).await.unwrap();
        store.sweep(100).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p9_open_files_are_bounded_under_load_and_few_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().canonicalize().unwrap();
    let store = FileStore::open(&folder, FileOptions::default()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let counting = std::thread::spawn({
        let (folder, done) = (folder.clone(), Arc::clone(&done));
        move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(open_in(&folder));
            }
            most
        }
    });
    let mut tasks = JoinSet::new();
    for number in 0..3_000 {
        tasks.spawn(use_key(store.clone(), number));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let most = counting.join().unwrap();
    assert!((1..=MAX_HANDLES).contains(&most), "{most} files and folders were open at once");
    while store.sweep(1_000).await.unwrap().more {}
    assert_eq!(open_in(&folder), 0, "at rest");
}
