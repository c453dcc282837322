//! Several processes on one folder: they lose no update, and one that sweeps takes nothing from those that write.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ampoule_core::{Clock, Entry, Outcome, Put, Store, StoreKey, SystemClock, Tag, Time};
use ampoule_store_file::{FileOptions, FileStore};
use tokio::task::JoinSet;

/// Tells a process of this test binary in which folder it is to work.
const FOLDER: &str = "AMPOULE_TEST_SHARED_FOLDER";

const PROCESSES: usize = 4;
const TASKS: usize = 16;
const EACH: usize = 20;

fn key(text: &str) -> StoreKey {
    StoreKey::digest(text.as_bytes())
}

fn lasting(value: impl ToString) -> Entry {
    Entry { value: value.to_string().into(), deadline: Time::MAX, tag: None }
}

/// The folder, where this process was asked to work in one.
fn asked_for() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Ends with the test, also with one that fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(work: &str, folder: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", work, "--nocapture"]).env(FOLDER, folder);
    Process(command.stdout(Stdio::null()).spawn().unwrap())
}

fn open(folder: &Path) -> FileStore {
    FileStore::open(folder, FileOptions::default()).unwrap()
}

async fn increment(store: &FileStore) -> bool {
    let stored = store.get(key("counter")).await.unwrap().expect("the counter is there");
    let count: usize = std::str::from_utf8(&stored.value).unwrap().parse().unwrap();
    let put = store.put(key("counter"), lasting(count + 1), Put::Replace(stored.version)).await.unwrap();
    matches!(put, Outcome::Stored(_))
}

/// Not a test: a process that counts.
#[tokio::test(flavor = "multi_thread")]
async fn counting_process() {
    let Some(folder) = asked_for() else { return };
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
    assert!(matches!(store.put(key("counter"), lasting(0), Put::Create).await.unwrap(), Outcome::Stored(_)));
    let processes: Vec<_> = (0..PROCESSES).map(|_| start("counting_process", folder.path())).collect();
    for mut process in processes {
        assert!(process.0.wait().unwrap().success());
    }
    let counted = store.get(key("counter")).await.unwrap().unwrap().value;
    assert_eq!(counted, (PROCESSES * TASKS * EACH).to_string());
}

/// Not a test: a process that sweeps until it is killed, or two minutes if nobody does.
#[tokio::test]
async fn sweeping_process() {
    let Some(folder) = asked_for() else { return };
    let store = open(&folder);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(120) {
        store.sweep(1_000).await.unwrap();
    }
}

/// One session: it expires, is made again at once, and is then used for a while.
async fn come_back(store: &FileStore, name: &str, tag: Tag) {
    let (key, moment) = (key(name), Duration::from_millis(3));
    let brief = Entry { deadline: SystemClock.now() + moment, tag: Some(tag), ..lasting("old") };
    let _ = store.put(key, brief, Put::Always).await.unwrap();
    tokio::time::sleep(2 * moment).await;
    let again = Entry { deadline: SystemClock.now() + Duration::from_secs(60), tag: Some(tag), ..lasting("new") };
    let created = store.put(key, again.clone(), Put::Create).await.unwrap();
    let Outcome::Stored(version) = created else { panic!("it had expired") };
    assert!(store.tagged(tag).await.unwrap().contains(&key), "a sweep took the mark of {name}");
    assert!(store.touch(key, SystemClock.now() + Duration::from_secs(90)).await.unwrap());
    let replaced = store.put(key, again, Put::Replace(version)).await.unwrap();
    assert!(matches!(replaced, Outcome::Stored(_)), "a sweep took {name}, which was made again");
    assert!(store.delete(key).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_sweep_of_another_process_takes_nothing_that_lives() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut sweepers = [(); 2].map(|()| start("sweeping_process", folder.path()));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..100 {
                come_back(&store, &format!("{task} {round}"), Tag::of(&task.to_string())).await;
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
