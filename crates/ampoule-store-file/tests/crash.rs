//! A writer that is killed in the middle, over and over: what it acknowledged is there, and nothing is torn.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ampoule_core::{Entry, Outcome, Put, Store, StoreKey, Time};
use ampoule_store_file::{FileOptions, FileStore};

/// Tells a process of this test binary that it is the writer, and in which folder.
const FOLDER: &str = "AMPOULE_TEST_WRITER_FOLDER";

const ROUNDS: u64 = 200;
const KEYS: u64 = 8;

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

/// A value that tells its number, long enough to be torn.
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

async fn open(folder: &Path) -> FileStore {
    FileStore::open(folder, FileOptions::default()).expect("the folder opens")
}

/// Not a test: what the writer process does. It returns at once where nobody asked for a writer.
#[tokio::test]
async fn writer_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder)).await;
    for number in std::env::var("AMPOULE_TEST_WRITER_FROM").unwrap().parse::<u64>().unwrap().. {
        let entry = Entry { value: value(number).into(), deadline: Time::MAX, tag: None };
        let outcome = store.put(key(number % KEYS), entry, Put::Always).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored(_)));
        println!("saved {number}");
        std::io::stdout().flush().unwrap();
    }
}

/// Lets a writer write, kills it a while after its first acknowledgement (or its start, now and then), and returns the
/// last number that it acknowledged.
fn write_and_be_killed(folder: &Path, from: u64, early: bool, patience: Duration) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "writer_process", "--nocapture"]).env(FOLDER, folder);
    command.env("AMPOULE_TEST_WRITER_FROM", from.to_string());
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
        let store = open(folder.path()).await;
        for number in (last.saturating_sub(KEYS - 1)..=last).filter(|number| *number > 0) {
            let stored =
                store.get(key(number % KEYS)).await.expect("no record is torn").expect("what was saved is there");
            let found = number_of(&stored.value);
            // The write after the last acknowledged one may have happened.
            assert!(found == number || found == last + 1, "saved {number}, found {found}");
        }
        let lock_free = tokio::time::timeout(Duration::from_secs(2), store.touch(key(0), Time::MAX)).await;
        assert!(lock_free.is_ok(), "the dead hold no lock");
        next = last + 1;
    }
    assert!(rounds_with_saves >= ROUNDS * 9 / 10, "in only {rounds_with_saves} of {ROUNDS} rounds was anything saved");
}
