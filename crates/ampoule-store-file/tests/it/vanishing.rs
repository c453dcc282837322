//! Other programs that change the folder while it is in use: they remove parts of it, or take permissions away.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::{
    Clock, Entry, ErrorKind, ManualClock, PutMode, PutResult, Store, StoreKey, SystemClock, Tag, Version,
};
use ampoule_store_file::{FileOptions, FileStore};
use tokio::task::JoinSet;

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn entry(value: impl ToString) -> Entry {
    Entry { value: value.to_string().into(), lifetime: Duration::from_secs(3_600), tag: Some(Tag::of("ada")) }
}

fn open(folder: &Path) -> FileStore {
    FileStore::open(folder, FileOptions::default()).unwrap()
}

fn shard(folder: &Path, key: StoreKey) -> PathBuf {
    folder.join("records").join(format!("{:02x}", key.as_bytes()[0]))
}

async fn create(store: &FileStore, number: u64) -> Version {
    match store.put(key(number), entry(number), PutMode::Create).await.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("a conflict for a new key"),
    }
}

/// Repeatedly removes what a cleanup program may remove: empty folders, and files that contain no record.
struct Cleaner(Arc<AtomicBool>, Option<std::thread::JoinHandle<u64>>);

impl Cleaner {
    fn start(folder: &Path) -> Cleaner {
        let (folder, done) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut removed = 0;
                while !done.load(Ordering::Relaxed) {
                    for part in ["records", "tags"] {
                        let entries = fs::read_dir(folder.join(part)).into_iter().flatten().flatten();
                        removed += entries.filter(|entry| fs::remove_dir(entry.path()).is_ok()).count() as u64;
                    }
                    let files = fs::read_dir(folder.join("locks")).into_iter().flatten().flatten();
                    removed += files.filter(|file| fs::remove_file(file.path()).is_ok()).count() as u64;
                }
                removed
            }
        });
        Cleaner(done, Some(thread))
    }

    /// Stops, and returns how many it has removed.
    fn stop(mut self) -> u64 {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().map_or(0, |thread| thread.join().unwrap())
    }
}

async fn increment(store: FileStore, times: usize) {
    for _ in 0..times {
        loop {
            let stored = store.get(key(0)).await.unwrap().expect("the counter is there");
            let count: u64 = std::str::from_utf8(&stored.value).unwrap().parse().unwrap();
            let put = store.put(key(0), entry(count + 1), PutMode::Replace(stored.version)).await.unwrap();
            if matches!(put, PutResult::Stored(_)) {
                break;
            }
        }
    }
}

/// Each instance has locks of its own, as a process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p1_a_cleaner_of_empty_folders_and_old_files_loses_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let stores: Vec<_> = (0..4).map(|_| open(dir.path())).collect();
    create(&stores[0], 0).await;
    let cleaner = Cleaner::start(dir.path());
    let mut tasks = JoinSet::new();
    for store in &stores {
        tasks.spawn(increment(store.clone(), 300));
    }
    for round in 1..=300 {
        let mut creators = JoinSet::new();
        for store in stores.clone() {
            creators.spawn(async move { store.put(key(round), entry(round), PutMode::Create).await.unwrap() });
        }
        let won = creators.join_all().await.iter().filter(|put| matches!(put, PutResult::Stored(_))).count();
        assert_eq!(won, 1, "creators that won in round {round}");
        assert!(stores[0].keys_with_tag(Tag::of("ada")).await.unwrap().contains(&key(round)));
        assert!(stores[1].delete(key(round)).await.unwrap());
    }
    let report = JoinSet::from_iter(
        (0..4)
            .zip(stores.clone())
            .map(|(seed, store)| async move { run_workload(&store, seed, Duration::from_millis(500)).await }),
    );
    let report = WorkloadReport::sum(report.join_all().await);
    assert_eq!((report.lost, report.revived, report.refused), (0, 0, 0), "{report}");
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(cleaner.stop() > 100, "the cleaner has cleaned");
    assert_eq!(stores[0].get(key(0)).await.unwrap().unwrap().value, (4 * 300).to_string());
}

#[tokio::test]
async fn a_removed_folder_is_created_again_with_its_marker() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sessions");
    let store = open(&folder);
    create(&store, 1).await;
    fs::remove_dir_all(&folder).unwrap();
    assert!(store.get(key(1)).await.unwrap().is_none());
    create(&store, 1).await;
    assert_eq!(open(&folder).keys_with_tag(Tag::of("ada")).await.unwrap(), [key(1)]);
    fs::remove_file(folder.join("ampoule-store")).unwrap();
    while store.sweep(1_000).await.unwrap().more {}
    assert!(open(&folder).get(key(1)).await.unwrap().is_some(), "a sweep creates the marker again");

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("holiday.jpg"), "").unwrap();
    let error = store.put(key(1), entry(1), PutMode::Create).await.unwrap_err();
    let report = error.report();
    assert!(report.contains("a folder of something else has replaced it"), "{report}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the store has created nothing in it");
}

/// Checks that every operation on a key whose folder cannot be entered is an error, never an absence.
async fn assert_unreachable(store: &FileStore, lost: StoreKey, tag: Tag) {
    let errors = [
        ("get", store.get(lost).await.err()),
        ("put", store.put(lost, entry(1), PutMode::Create).await.err()),
        ("touch", store.touch(lost, Version(1), Duration::from_secs(1)).await.err()),
        ("delete", store.delete(lost).await.err()),
        ("keys_with_tag", store.keys_with_tag(tag).await.err()),
        ("scan", store.scan(None, 1_000_000).await.err()),
    ];
    for (operation, error) in errors {
        let error = error.unwrap_or_else(|| panic!("{operation} found an absence"));
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{operation}: {error}");
    }
}

#[tokio::test]
async fn p10_an_unreachable_file_is_an_error_and_stops_no_sweep_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let store = FileStore::open(dir.path(), FileOptions { clock: clock.clone(), ..FileOptions::default() }).unwrap();
    for number in 0..100 {
        create(&store, number).await;
    }
    let lost = shard(dir.path(), key(0));
    let with_it = (0..100).filter(|number| shard(dir.path(), key(*number)) == lost).count() as u64;
    fs::rename(&lost, dir.path().join("records/away")).unwrap();
    fs::write(&lost, "").unwrap();
    assert_unreachable(&store, key(0), Tag::of("ada")).await;
    fs::remove_file(&lost).unwrap();
    symlink(&lost, &lost).unwrap();
    assert_unreachable(&store, key(0), Tag::of("ada")).await;

    clock.advance(Duration::from_secs(3_601));
    let (mut removed, mut errors) = (0, 0);
    loop {
        match store.sweep(1_000).await {
            Ok(swept) if !swept.more => break removed += swept.removed,
            Ok(swept) => removed += swept.removed,
            Err(_) => errors += 1,
        }
        assert!(errors < 100, "the sweep does not continue");
    }
    assert!(errors >= 1, "the sweep reports the folder that cannot be read");
    assert_eq!(removed, 100 - with_it, "all others are swept");
}

/// Tells a process of this test binary in which folder it has no rights.
const FOLDER: &str = "AMPOULE_TEST_LOCKED_FOLDER";

/// Not a test: the process without rights. It returns at once if it was not started as such.
#[tokio::test]
async fn process_without_rights() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder);
    create(&store, 1).await;
    fs::set_permissions(shard(&folder, key(1)), fs::Permissions::from_mode(0o000)).unwrap();
    assert_unreachable(&store, key(1), Tag::of("ada")).await;
    fs::set_permissions(shard(&folder, key(1)), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(store.get(key(1)).await.unwrap().is_some());
}

/// This needs a process of its own that drops its privileges, since root may enter every folder.
#[test]
fn p10_permission_denied_is_never_an_absence() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, sessions) = (dir.path().join("test"), dir.path().join("sessions"));
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    fs::create_dir(&sessions).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(&binary);
    command.args(["--exact", "vanishing::process_without_rights"]).env(FOLDER, &sessions).current_dir("/");
    if sessions.metadata().unwrap().uid() == 0 {
        chown(&sessions, Some(65_534), Some(65_534)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn owners(path: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(path.to_owned(), path.symlink_metadata().unwrap().uid())];
    if path.is_dir() {
        found.extend(fs::read_dir(path).unwrap().flat_map(|entry| owners(&entry.unwrap().path())));
    }
    found
}

/// An operator does this with `ampoule check`, or `ampoule sessions copy`, before the site has started for the first
/// time.
#[tokio::test]
async fn files_that_root_creates_belong_to_the_owner_of_the_folder_above() {
    let dir = tempfile::tempdir().unwrap();
    if dir.path().metadata().unwrap().uid() != 0 {
        println!("skipped: only root can give files away");
        return;
    }
    chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
    let store = open(&dir.path().join("data/sessions"));
    create(&store, 1).await;
    store.ping().await.unwrap();
    for (path, owner) in owners(dir.path()) {
        assert_eq!(owner, 65_534, "{}", path.display());
    }
}
