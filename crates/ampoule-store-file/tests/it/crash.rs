//! A writer that is killed repeatedly: acknowledged writes survive, and no file is torn.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ampoule_core::{Clock, Entry, ManualClock, PutMode, PutResult, Store, StoreKey, SystemClock, Tag, Version};
use ampoule_store_file::{Durability, FileOptions, FileStore};

/// Tells a process of this test binary that it is the writer, and in which folder.
const FOLDER: &str = "AMPOULE_TEST_WRITER_FOLDER";
const FROM: &str = "AMPOULE_TEST_WRITER_FROM";

const ROUNDS: u64 = 200;
const KEYS: u64 = 8;

/// The lifetimes of a record when it is written, and when it is touched afterwards.
const WRITTEN: Duration = Duration::from_secs(24 * 3_600);
const TOUCHED: Duration = Duration::from_secs(48 * 3_600);

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&(number % KEYS).to_le_bytes())
}

/// The tag changes with each write.
fn tag(number: u64) -> Tag {
    Tag::of(if (number / KEYS).is_multiple_of(2) { "ada" } else { "grace" })
}

/// Returns whether the writer deletes its key at this number; otherwise it writes.
fn is_deletion(number: u64) -> bool {
    number % 7 == 3
}

/// Returns a value that contains its number, long enough to be torn.
fn value(number: u64) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(3_000 + (number % 5_000) as usize, (number % 251) as u8);
    value
}

fn number_of(value: &[u8]) -> u64 {
    let number = u64::from_le_bytes(*value.first_chunk().expect("a number"));
    assert_eq!(value, self::value(number), "a torn value");
    number
}

fn open(folder: &Path, durability: Durability) -> FileStore {
    FileStore::open(folder, FileOptions { durability, ..FileOptions::default() }).expect("the folder opens")
}

/// Not a test: the writer process. It returns at once if it was not started as such.
#[tokio::test]
async fn writer_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let first: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let durability = if first.is_multiple_of(3) { Durability::Power } else { Durability::Process };
    let store = open(Path::new(&folder), durability);
    for number in first.. {
        if is_deletion(number) {
            store.delete(key(number)).await.unwrap();
        } else {
            let entry = Entry { value: value(number).into(), lifetime: WRITTEN, tag: Some(tag(number)) };
            let put = store.put(key(number), entry, PutMode::Always).await.unwrap();
            let PutResult::Stored(version) = put else { panic!("a conflict where there was no condition") };
            assert!(store.touch(key(number), version, TOUCHED).await.unwrap());
        }
        println!("saved {number}");
        std::io::stdout().flush().unwrap();
    }
}

/// Starts a writer, kills it a while after its first acknowledgement (sometimes right after its start), and returns the
/// last number that it acknowledged.
fn write_and_be_killed(folder: &Path, from: u64, early: bool, patience: Duration) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::writer_process", "--nocapture"]).env(FOLDER, folder).env(FROM, from.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (saying, said) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| line.strip_prefix("saved ")?.parse().ok());
        numbers.inspect(|_| _ = saying.send(())).last()
    });
    if !early {
        said.recv_timeout(Duration::from_secs(20)).expect("the writer writes");
    }
    std::thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// Returns the number that a key must have after the writer has done everything up to `last`. Each number is a write or
/// a deletion of the next key in turn.
fn expected(number: u64, last: u64) -> Option<u64> {
    (1..=last).rev().take(KEYS as usize).find(|done| key(*done) == key(number)).filter(|done| !is_deletion(*done))
}

/// Checks that everything acknowledged is there. The writer's next step may have happened, and nothing else.
async fn check(store: &FileStore, last: u64) {
    for number in 0..KEYS {
        let stored = store.get(key(number)).await.expect("no record is torn");
        let found = stored.as_ref().map(|stored| number_of(&stored.value));
        let (now, next) = (expected(number, last), expected(number, last + 1));
        assert!(found == now || found == next, "saved {now:?}, perhaps {next:?}, found {found:?}");
        let is_acknowledged = found == now;
        let left = stored.map(|stored| stored.deadline.since(SystemClock.now()));
        assert!(!is_acknowledged || left.is_none_or(|left| left > WRITTEN), "a touch was lost: {left:?} are left");
        for at in [0, KEYS] {
            let found_by_tag = store.keys_with_tag(tag(at)).await.unwrap().contains(&key(number));
            assert_eq!(found_by_tag, found.is_some_and(|found| tag(found) == tag(at)), "the tag of {found:?}");
        }
    }
    let lock_free = tokio::time::timeout(Duration::from_secs(2), store.touch(key(0), Version(0), TOUCHED)).await;
    assert!(lock_free.is_ok(), "the killed writers hold no lock");
}

fn temporaries(folder: &Path) -> usize {
    let shards = std::fs::read_dir(folder.join("records")).unwrap();
    let files = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_saved_is_saved_when_the_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = 1;
    let mut rounds_with_saves = 0;
    for round in 0..ROUNDS {
        let patience = Duration::from_micros(round * 7_919 % 20_000);
        let saved = write_and_be_killed(folder.path(), next, round % 10 == 9, patience);
        rounds_with_saves += u64::from(saved.is_some());
        let last = saved.unwrap_or(next - 1);
        check(&open(folder.path(), Durability::Process), last).await;
        next = last + 1;
    }
    assert!(rounds_with_saves >= ROUNDS * 9 / 10, "in only {rounds_with_saves} of {ROUNDS} rounds was anything saved");
    assert!(temporaries(folder.path()) > 0, "no writer was killed in the middle of a write, of {ROUNDS}");
    let clock = Arc::new(ManualClock::new(SystemClock.now() + Duration::from_secs(7_200)));
    let store = FileStore::open(folder.path(), FileOptions { clock, ..FileOptions::default() }).unwrap();
    while store.sweep(1_000).await.unwrap().more {}
    assert_eq!(temporaries(folder.path()), 0, "files of killed writers remain after the sweep");
    check(&store, next - 1).await;
}
