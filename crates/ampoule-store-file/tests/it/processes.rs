//! Several processes on one folder: they lose no update, and one that sweeps removes no live session.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ampoule_core::{Clock, Entry, PutMode, PutResult, Store, StoreKey, SystemClock, Tag};
use ampoule_store_file::{FileOptions, FileStore};
use tokio::task::JoinSet;

/// Tells a process of this test binary which folder to work in.
const FOLDER: &str = "AMPOULE_TEST_SHARED_FOLDER";

const PROCESSES: usize = 4;
const TASKS: usize = 16;
const EACH: usize = 20;

fn key(text: &str) -> StoreKey {
    StoreKey::digest(text.as_bytes())
}

fn lasting(value: impl ToString) -> Entry {
    Entry { value: value.to_string().into(), lifetime: Duration::MAX, tag: None }
}

/// Returns the folder, if this process was started to work in one.
fn folder_of_this_process() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// A process that is killed when the test ends, also if the test fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(work: &str, folder: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("processes::{work}"), "--nocapture"]).env(FOLDER, folder);
    Process(command.stdout(Stdio::null()).spawn().unwrap())
}

fn open(folder: &Path) -> FileStore {
    FileStore::open(folder, FileOptions::default()).unwrap()
}

async fn increment(store: &FileStore) -> bool {
    let stored = store.get(key("counter")).await.unwrap().expect("the counter is there");
    let count: usize = std::str::from_utf8(&stored.value).unwrap().parse().unwrap();
    let put = store.put(key("counter"), lasting(count + 1), PutMode::Replace(stored.version)).await.unwrap();
    matches!(put, PutResult::Stored(_))
}

/// Not a test: a process that counts.
#[tokio::test(flavor = "multi_thread")]
async fn counting_process() {
    let Some(folder) = folder_of_this_process() else { return };
    let store = open(&folder);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                while !increment(&store).await {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn p1_processes_lose_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert!(matches!(store.put(key("counter"), lasting(0), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
    let processes: Vec<_> = (0..PROCESSES).map(|_| start("counting_process", folder.path())).collect();
    for mut process in processes {
        assert!(process.0.wait().unwrap().success());
    }
    let counted = store.get(key("counter")).await.unwrap().unwrap().value;
    assert_eq!(counted, (PROCESSES * TASKS * EACH).to_string());
}

/// Not a test: a process that sweeps until it is killed, for two minutes at most.
#[tokio::test]
async fn sweeping_process() {
    let Some(folder) = folder_of_this_process() else { return };
    let store = open(&folder);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(120) {
        store.sweep(1_000).await.unwrap();
    }
}

/// One session that expires, is created again at once, and is then used for a while.
async fn expire_and_return(store: &FileStore, name: &str, tag: Tag) {
    let (key, moment) = (key(name), Duration::from_millis(3));
    let brief = Entry { lifetime: moment, tag: Some(tag), ..lasting("old") };
    let _ = store.put(key, brief, PutMode::Always).await.unwrap();
    tokio::time::sleep(2 * moment).await;
    let again = Entry { lifetime: Duration::from_secs(60), tag: Some(tag), ..lasting("new") };
    let created = store.put(key, again.clone(), PutMode::Create).await.unwrap();
    let PutResult::Stored(version) = created else { panic!("it had expired") };
    assert!(store.keys_with_tag(tag).await.unwrap().contains(&key), "a sweep removed the mark of {name}");
    assert!(store.touch(key, version, Duration::from_secs(90)).await.unwrap());
    let replaced = store.put(key, again, PutMode::Replace(version)).await.unwrap();
    assert!(matches!(replaced, PutResult::Stored(_)), "a sweep removed {name}, which was created again");
    assert!(store.delete(key).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_sweep_of_another_process_removes_no_live_session() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut sweepers = [(); 2].map(|()| start("sweeping_process", folder.path()));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..100 {
                expire_and_return(&store, &format!("{task} {round}"), Tag::of(&task.to_string())).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for Process(sweeper) in &mut sweepers {
        assert!(sweeper.try_wait().unwrap().is_none(), "a sweeper failed");
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Moves the deadline a little later; no other caller may move it back.
async fn touch_further(store: &FileStore, name: &str, millis: u64) {
    let stored = store.get(key(name)).await.expect("a reader sees it whole").expect("it is there");
    let lifetime = stored.deadline.since(SystemClock.now()) + Duration::from_millis(millis);
    let deadline = SystemClock.now() + lifetime;
    assert!(store.touch(key(name), stored.version, lifetime).await.unwrap());
    let stored = store.get(key(name)).await.expect("a reader sees it whole").expect("it is there");
    assert!(stored.deadline >= deadline, "a touch of another process undid ours");
}

/// Not a test: a process that touches until it is killed, for two minutes at most.
#[tokio::test]
async fn touching_process() {
    let Some(folder) = folder_of_this_process() else { return };
    let store = open(&folder);
    let started = Instant::now();
    let mut millis = 1;
    while started.elapsed() < Duration::from_secs(120) {
        let written = store.get(key("written")).await.expect("a reader sees it whole").expect("it is there");
        store.touch(key("written"), written.version, 2 * HOUR).await.unwrap();
        millis = millis % 5 + 1;
        touch_further(&store, "touched", millis).await;
    }
}

/// Waits until another process has touched the session that is written.
async fn touched(store: &FileStore) {
    let started = Instant::now();
    let is_touched = async || {
        let stored = store.get(key("written")).await.unwrap().expect("it is there");
        stored.deadline.since(SystemClock.now()) > HOUR * 3 / 2
    };
    while !is_touched().await {
        assert!(started.elapsed() < Duration::from_secs(20), "the other processes do not touch");
    }
}

/// A touch neither undoes nor hinders a put or another touch.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_touch_and_a_put_of_two_processes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let entry = |value: usize| Entry { lifetime: HOUR, ..lasting(value) };
    let put = async |name: &str, value, mode| match store.put(key(name), entry(value), mode).await.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("the touch of another process was a conflict for put {value} of {name}"),
    };
    let mut written = put("written", 0, PutMode::Create).await;
    put("touched", 0, PutMode::Create).await;
    let mut touching = [(); 2].map(|()| start("touching_process", folder.path()));
    touched(&store).await;
    for value in 1..=2_000 {
        written = put("written", value, PutMode::Replace(written)).await;
        let stored = store.get(key("written")).await.unwrap().expect("it is there");
        assert_eq!((stored.version, &stored.value[..]), (written, value.to_string().as_bytes()));
        touch_further(&store, "touched", 3).await;
        if value % 500 == 0 {
            touched(&store).await;
        }
    }
    for Process(process) in &mut touching {
        assert!(process.try_wait().unwrap().is_none(), "a touching process failed");
    }
}

/// Logins of one user do this: each creates a session and ends the previous one.
#[tokio::test(flavor = "multi_thread")]
async fn p2_a_list_by_tag_always_contains_the_session_that_replaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let (logins, lists) = (open(folder.path()), open(folder.path()));
    let tag = Tag::of("ada");
    let tagged = move || Entry { tag: Some(tag), ..lasting("x") };
    let _ = logins.put(key("0"), tagged(), PutMode::Create).await.unwrap();
    let moving = tokio::spawn(async move {
        for number in 1..=2_000 {
            let _ = logins.put(key(&number.to_string()), tagged(), PutMode::Create).await.unwrap();
            assert!(logins.delete(key(&(number - 1).to_string())).await.unwrap());
        }
    });
    while !moving.is_finished() {
        assert!(!lists.keys_with_tag(tag).await.unwrap().is_empty(), "a user with a session has none in the list");
    }
    moving.await.unwrap();
}
