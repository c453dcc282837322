//! The cache with several processes on one store: one creator among all, also if one is killed.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ampoule::SystemClock;
use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule::store::StoreOptions;
use support::{BackendKind, SECOND};
use tokio::task::JoinSet;

const URL: &str = "AMPOULE_TEST_CACHE_URL";
const NAME: &str = "AMPOULE_TEST_CACHE_NAME";

/// The duration of the lease.
const LEASE: Duration = Duration::from_secs(2);

on_backends! {
    four_processes_create_once on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    another_process_creates_after_a_creator_is_killed on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
}

/// Not a test, but the main function of the processes that the tests start. Without their environment it returns at
/// once.
///
/// It reads commands: `ask COUNT MILLISECONDS` sends COUNT concurrent requests for a value that takes MILLISECONDS to
/// create.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let name = std::env::var(NAME).unwrap();
    let options = StoreOptions { table: name.clone(), prefix: format!("{name}:"), ..StoreOptions::default() };
    let store = ampoule::store::open(&url, &options).unwrap();
    let backend = Backend::store(store, &BackendOptions { store_timeout: None, ..BackendOptions::default() });
    let cache = CacheManager::new(backend, CacheOptions { lease: LEASE, ..CacheOptions::default() }).unwrap();
    let cache = cache.cache::<u32>("n");
    // Creates the connection and the table before the measurement.
    cache.get("other").await;
    println!("\nready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let created = Arc::new(AtomicUsize::new(0));
        let mut asking = JoinSet::new();
        for _ in 0..words[0] {
            let (cache, created) = (cache.clone(), created.clone());
            let takes = Duration::from_millis(words[1]);
            asking.spawn(async move {
                let create = || async {
                    created.fetch_add(1, Ordering::SeqCst);
                    println!("\ncreating");
                    tokio::time::sleep(takes).await;
                    std::process::id()
                };
                cache.get_or_insert_with("key", create).await
            });
        }
        let mut values = asking.join_all().await;
        values.sort_unstable();
        values.dedup();
        println!("\ngot {values:?} created {}", created.load(Ordering::SeqCst));
    }
}

struct Process {
    child: Child,
    commands: ChildStdin,
    lines: Box<dyn Iterator<Item = String> + Send>,
}

impl Process {
    fn start(url: &str, name: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cache_process", "--nocapture"]).env(URL, url).env(NAME, name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let commands = child.stdin.take().unwrap();
        let mut process = Process { child, commands, lines: Box::new(lines) };
        process.wait_for("ready");
        process
    }

    fn ask(&mut self, count: usize, takes: Duration) {
        writeln!(self.commands, "ask {count} {}", takes.as_millis()).unwrap();
    }

    /// The rest of the next line that begins so.
    fn wait_for(&mut self, word: &str) -> String {
        self.lines.find_map(|line| line.strip_prefix(word).map(str::to_owned)).expect("the process says it")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn processes(backend: BackendKind, count: usize) -> (Vec<Process>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let name = support::store_options(Arc::new(SystemClock)).table;
    let url = backend.url(folder.path());
    ((0..count).map(|_| Process::start(&url, &name)).collect(), folder)
}

async fn four_processes_create_once(backend: BackendKind) {
    let (mut processes, _folder) = processes(backend, 4);
    for process in &mut processes {
        process.ask(250, Duration::from_millis(300));
    }
    let answers: Vec<String> = processes.iter_mut().map(|process| process.wait_for("got ")).collect();
    let created = answers.iter().filter(|answer| answer.ends_with("created 1")).count();
    let values: Vec<&str> = answers.iter().filter_map(|answer| answer.split(" created").next()).collect();
    assert_eq!(created, 1, "{answers:?}");
    assert!(values.iter().all(|value| *value == values[0]), "{answers:?}");
}

async fn another_process_creates_after_a_creator_is_killed(backend: BackendKind) {
    let (mut processes, _folder) = processes(backend, 2);
    processes[0].ask(1, Duration::from_secs(600));
    processes[0].wait_for("creating");
    let waiting = Instant::now();
    processes[1].ask(20, Duration::ZERO);
    drop(processes.remove(0));
    let answer = processes[0].wait_for("got ");
    assert!(answer.ends_with("created 1"), "{answer}");
    assert!(waiting.elapsed() < LEASE + SECOND, "soon after the lease ends: {:?}", waiting.elapsed());
}
