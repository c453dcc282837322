//! The contents of the folder, their permissions, and copied, changed or damaged files.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ampoule_core::{
    Clock, Entry, ErrorKind, ManualClock, PutMode, PutResult, Store, StoreKey, Stored, SystemClock, Tag, Version,
};
use ampoule_store_file::{Durability, FileOptions, FileStore};
use tokio::task::JoinSet;

struct Folder {
    dir: tempfile::TempDir,
    store: FileStore,
    clock: Arc<ManualClock>,
}

impl Folder {
    fn new() -> Folder {
        Folder::with(FileOptions::default())
    }

    fn with(options: FileOptions) -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let options = FileOptions { clock: clock.clone(), ..options };
        let store = FileStore::open(dir.path().join("sessions"), options).unwrap();
        Folder { dir, store, clock }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("sessions")
    }

    async fn put(&self, number: u64, seconds: u64, tag: Option<Tag>) -> Version {
        let entry = Entry { value: format!("value {number}").into(), lifetime: Duration::from_secs(seconds), tag };
        match self.store.put(key(number), entry, PutMode::Always).await.unwrap() {
            PutResult::Stored(version) => version,
            PutResult::Conflict => panic!("a conflict where there was no condition"),
        }
    }

    async fn get(&self, number: u64) -> Option<Stored> {
        self.store.get(key(number)).await.unwrap()
    }

    async fn damage(&self, number: u64) -> ErrorKind {
        self.store.get(key(number)).await.unwrap_err().kind()
    }

    /// Sweeps until nothing more has expired, and returns how many values were removed.
    async fn sweep(&self) -> u64 {
        sweep(&self.store).await
    }

    fn record(&self, number: u64) -> PathBuf {
        let name: String = key(number).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.path().join("records").join(&name[..2]).join(name)
    }
}

async fn sweep(store: &FileStore) -> u64 {
    let mut removed = 0;
    loop {
        let swept = store.sweep(1_000).await.unwrap();
        removed += swept.removed;
        if !swept.more {
            return removed;
        }
    }
}

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn set_modified(path: &Path, time: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Copies as `cp -r` does: names and contents, not times.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            fs::write(to, fs::read(from).unwrap()).unwrap();
        }
    }
}

/// Returns all files and folders below, with their modes.
fn tree(path: &Path) -> Vec<(PathBuf, u32, bool)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        found.push((entry.path(), metadata.permissions().mode() & 0o777, metadata.is_dir()));
        if metadata.is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found
}

#[tokio::test]
async fn all_files_and_folders_are_private() {
    let folder = Folder::new();
    folder.put(1, 60, Some(Tag::of("ada"))).await;
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    for (path, mode, is_folder) in tree(&folder.path()) {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[tokio::test]
async fn p9_a_deleted_session_leaves_no_file() {
    let folder = Folder::new();
    let files = || tree(&folder.path()).into_iter().filter(|(_, _, is_folder)| !is_folder).count();
    for number in 0..1_000 {
        folder.put(number, 60, None).await;
        if number % 100 == 0 {
            assert_eq!(files(), 2, "the marker and the record, and no lock");
        }
        assert!(folder.store.delete(key(number)).await.unwrap());
    }
    assert_eq!(files(), 1, "only the marker remains");
}

#[tokio::test]
async fn p9_a_sweep_leaves_no_record_mark_or_tag_folder() {
    let folder = Folder::new();
    for number in 0..200 {
        folder.put(number, 60, Some(Tag::of(&number.to_string()))).await;
    }
    folder.clock.advance(Duration::from_secs(61));
    assert_eq!(folder.sweep().await, 200);
    for part in ["records", "tags"] {
        let left = tree(&folder.path().join(part));
        let shards = left.iter().filter(|(path, ..)| path.file_name().is_some_and(|name| name.len() == 2)).count();
        assert!(left.len() == shards && shards <= 256, "{part}: only folders of shards stay, of {left:?}");
    }
}

#[tokio::test]
async fn p7_a_copy_without_times_loses_nothing() {
    let folder = Folder::new();
    folder.clock.set(SystemClock.now());
    for number in 0..300 {
        folder.put(number, 3_600, Some(Tag::of("ada"))).await;
    }
    let copied = folder.dir.path().join("copied");
    copy(&folder.path(), &copied);
    folder.clock.advance(Duration::from_secs(60));
    let record = |number| copied.join(folder.record(number).strip_prefix(folder.path()).unwrap());
    let now = SystemTime::from(folder.clock.now());
    assert!((0..300).all(|number| modified(&record(number)) < now), "a copy has the time at which it was made");

    let options = FileOptions { clock: folder.clock.clone(), ..FileOptions::default() };
    let store = FileStore::open(&copied, options).unwrap();
    assert_eq!(sweep(&store).await, 0);
    assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap().len(), 300);
    for number in 0..300 {
        assert_eq!(store.get(key(number)).await.unwrap(), folder.get(number).await);
        assert_eq!(modified(&record(number)), modified(&folder.record(number)), "the sweep has corrected the time");
    }
    folder.clock.advance(Duration::from_secs(3_600));
    assert_eq!(sweep(&store).await, 300);
}

/// Archives for reproducible builds have such times.
#[tokio::test]
async fn p7_a_modification_time_of_zero_ends_no_session() {
    let folder = Folder::new();
    folder.put(1, 60, None).await;
    set_modified(&folder.record(1), UNIX_EPOCH);
    assert_eq!(folder.sweep().await, 0);
    assert!(folder.get(1).await.is_some());
}

#[tokio::test]
async fn p9_a_modification_time_in_the_future_keeps_no_session_and_no_file() {
    let folder = Folder::new();
    let version = folder.put(1, 60, None).await;
    folder.clock.advance(Duration::from_secs(60));
    set_modified(&folder.record(1), (folder.clock.now() + Duration::from_secs(10 * 365 * 24 * 3_600)).into());
    assert_eq!(folder.get(1).await, None);
    assert!(!folder.store.touch(key(1), version, Duration::from_secs(60)).await.unwrap());
    let mut rounds = 1;
    while folder.sweep().await == 0 {
        rounds += 1;
        assert!(rounds <= 256, "256 rounds read every file");
    }
    assert!(!folder.record(1).exists());
}

#[tokio::test]
async fn a_touch_writes_a_few_bytes_of_the_file() {
    let folder = Folder::new();
    let version = folder.put(1, 60, None).await;
    let (before, inode) = (fs::read(folder.record(1)).unwrap(), fs::metadata(folder.record(1)).unwrap().ino());
    for (seconds, deadline) in [(90, 90), (70, 90), (120, 120)] {
        assert!(folder.store.touch(key(1), version, Duration::from_secs(seconds)).await.unwrap());
        let deadline = folder.clock.now() + Duration::from_secs(deadline);
        assert_eq!(folder.get(1).await.unwrap().deadline, deadline, "touched with {seconds} seconds");
        assert_eq!(modified(&folder.record(1)), SystemTime::from(deadline), "the hint is the deadline");
    }
    assert_eq!(fs::metadata(folder.record(1)).unwrap().ino(), inode);
    let after = fs::read(folder.record(1)).unwrap();
    assert_eq!((&after[..42], &after[66..]), (&before[..42], &before[66..]), "only the two deadlines may change");
}

#[tokio::test]
async fn p9_a_damaged_file_is_removed_30_days_after_its_time() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let folder = Folder::new();
    folder.put(1, 60, None).await;
    let time = modified(&folder.record(1));
    fs::write(folder.record(1), "not a record").unwrap();
    set_modified(&folder.record(1), time);
    folder.clock.advance(30 * DAY);
    assert_eq!(folder.sweep().await, 0);
    assert_eq!(folder.damage(1).await, ErrorKind::Corrupt);
    folder.clock.advance(DAY);
    assert_eq!(folder.sweep().await, 1);
}

/// Both deadlines are the same here, so if one is damaged the other one is as good.
#[tokio::test]
async fn p7_every_flipped_bit_and_truncation_is_an_error_or_harmless_and_the_file_stays() {
    let folder = Folder::new();
    folder.put(1, 60, None).await;
    let path = folder.record(1);
    let (bytes, whole) = (fs::read(&path).unwrap(), folder.get(1).await);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        if (42..66).contains(&(bit / 8)) {
            assert_eq!(folder.get(1).await, whole, "bit {bit}");
        } else {
            assert_eq!(folder.damage(1).await, ErrorKind::Corrupt, "bit {bit}");
        }
        assert_eq!(fs::read(&path).unwrap(), flipped);
    }
    for len in 0..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        assert_eq!(folder.damage(1).await, ErrorKind::Corrupt, "{len} bytes");
        assert_eq!(fs::read(&path).unwrap(), bytes[..len]);
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(folder.get(1).await, whole);
}

/// The session may live by the touch that wrote the deadline that was damaged.
#[tokio::test]
async fn p7_a_damaged_deadline_is_an_error_not_an_absence() {
    let folder = Folder::new();
    let version = folder.put(1, 60, None).await;
    assert!(folder.store.touch(key(1), version, Duration::from_secs(120)).await.unwrap());
    let mut bytes = fs::read(folder.record(1)).unwrap();
    bytes[42] ^= 1;
    fs::write(folder.record(1), &bytes).unwrap();
    assert_eq!(folder.get(1).await.unwrap().deadline, folder.clock.now() + Duration::from_secs(60));
    folder.clock.advance(Duration::from_secs(61));
    assert_eq!(folder.damage(1).await, ErrorKind::Corrupt);
    assert_eq!(folder.sweep().await, 0);
}

#[tokio::test]
async fn a_symbolic_link_in_place_of_a_record_is_not_followed() {
    let folder = Folder::new();
    folder.put(1, 60, None).await;
    folder.put(2, 60, None).await;
    fs::remove_file(folder.record(1)).unwrap();
    std::os::unix::fs::symlink(folder.record(2), folder.record(1)).unwrap();
    assert_eq!(folder.store.get(key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "").unwrap();
    let error = FileStore::open(dir.path(), FileOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("contains no `ampoule-store`: choose an empty folder"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the store has created nothing in it");
    let music = tempfile::tempdir().unwrap();
    fs::create_dir(music.path().join("records")).unwrap();
    assert_eq!(FileStore::open(music.path(), FileOptions::default()).unwrap_err().kind(), ErrorKind::Config);
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("ampoule-store"), "ampoule file store 9\n").unwrap();
    let error = FileStore::open(other.path(), FileOptions::default()).unwrap_err();
    assert!(error.report().ends_with("the folder has a format that this version does not support"), "{error}");
    let file = dir.path().join("holiday.jpg/sessions");
    let error = FileStore::open(&file, FileOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("holiday.jpg/sessions: the store's folder cannot be created"), "{error}");
}

#[tokio::test]
async fn a_folder_can_be_opened_concurrently_and_repeatedly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/sessions");
    let open = || FileStore::open(&path, FileOptions { durability: Durability::Power, ..FileOptions::default() });
    let threads: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for store in threads {
        store.unwrap();
    }
    assert!(open().unwrap().describe().ends_with("a/b/sessions (durability power)"));
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), FileOptions { max_value: 10, ..FileOptions::default() }).unwrap();
    let entry = Entry { value: vec![0; 11].into(), lifetime: Duration::MAX, tag: None };
    let error = store.put(key(1), entry, PutMode::Create).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.report().as_str()),
        (ErrorKind::TooLarge, "the value has 11 bytes; the maximum is 10")
    );
}

/// A process that holds a lock for ever must not hang the others for ever, nor one after another.
#[tokio::test]
async fn p10_all_writers_give_up_on_a_lock_that_is_held_for_ever() {
    let folder = Folder::with(FileOptions { lock_wait: Duration::from_millis(300), ..FileOptions::default() });
    folder.put(1, 60, None).await;
    let held = fs::File::open(folder.record(1).parent().unwrap()).unwrap();
    held.lock().unwrap();
    let started = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let store = folder.store.clone();
        waiting.spawn(async move { store.delete(key(1)).await.unwrap_err() });
    }
    for error in waiting.join_all().await {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let report = error.report();
        assert!(report.starts_with("another process has held a lock of the store's folder"), "{report}");
        assert!(report.ends_with("for 300ms"), "{report}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "they gave up one after another: {:?}", started.elapsed());
    assert!(folder.store.get(key(1)).await.unwrap().is_some(), "readers need no lock");
    held.unlock().unwrap();
    assert!(folder.store.delete(key(1)).await.unwrap());
}

#[tokio::test]
async fn files_of_a_dead_writer_are_removed_after_an_hour() {
    let folder = Folder::new();
    folder.clock.set(SystemClock.now());
    folder.put(1, 60, None).await;
    let left = [folder.record(1).with_file_name(".tmp-0123456789abcdef"), folder.path().join(".tmp-fedcba9876543210")];
    left.iter().for_each(|path| fs::write(path, "half a rec").unwrap());
    folder.clock.advance(Duration::from_secs(3_500));
    folder.sweep().await;
    assert!(left.iter().all(|path| path.exists()), "their writers may still be writing");
    folder.clock.advance(Duration::from_secs(200));
    folder.sweep().await;
    assert!(left.iter().all(|path| !path.exists()));
    assert!(folder.path().join("ampoule-store").exists());
}

/// A damaged record does not show whose it is. A caller that ends all sessions of a user must be able to end it.
#[tokio::test]
async fn a_damaged_record_is_found_by_its_tag_and_can_be_deleted() {
    let folder = Folder::new();
    folder.put(1, 60, Some(Tag::of("ada"))).await;
    fs::write(folder.record(1), "").unwrap();
    assert_eq!(folder.store.get(key(1)).await.unwrap_err().report(), "a file of the store is damaged: it is empty");
    assert_eq!(folder.store.keys_with_tag(Tag::of("ada")).await.unwrap(), [key(1)]);
    assert!(folder.store.delete(key(1)).await.unwrap());
    assert_eq!(folder.store.get(key(1)).await.unwrap(), None);
    assert_eq!(folder.store.keys_with_tag(Tag::of("ada")).await.unwrap(), []);
}

/// Tells a process of this test binary that it has no right to write, and in which folder.
const FOLDER: &str = "AMPOULE_TEST_READ_ONLY_FOLDER";

/// Not a test: the process without the right to write. It returns at once if it was not started as such.
#[test]
fn process_that_may_not_write() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let error = FileStore::open(&folder, FileOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.report();
    assert!(text.contains(": the store's folder cannot be written: Permission denied"), "{text}");
}

/// This needs a process of its own that drops its privileges, since root may write everywhere.
#[test]
fn a_folder_that_cannot_be_written_is_an_error_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, sessions) = (dir.path().join("test"), dir.path().join("sessions"));
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    FileStore::open(&sessions, FileOptions::default()).unwrap();
    for path in [dir.path(), &binary, &sessions, &sessions.join("ampoule-store")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let mut command = std::process::Command::new(&binary);
    command.args(["--exact", "folder::process_that_may_not_write"]).env(FOLDER, &sessions).current_dir("/");
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    fs::set_permissions(&sessions, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
