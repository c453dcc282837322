//! Behind PgBouncer, in session and transaction mode, where the name of a statement may belong to another client's.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::{Bytes, Clock, Entry, ErrorKind, ManualClock, PoolOptions, PutMode, Store, StoreKey};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, Server, shared};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

const CHILD: &str = "AMPOULE_TEST_WORKLOAD";

/// Returns the duration of a test in seconds; `AMPOULE_SEARCH` selects the longer one.
fn seconds(short: u64, long: u64) -> Duration {
    Duration::from_secs(if std::env::var_os("AMPOULE_SEARCH").is_some() { long } else { short })
}

fn options(table: &str) -> PostgresOptions {
    PostgresOptions { table: table.to_owned(), ..PostgresOptions::default() }
}

async fn conforms(kind: Kind) {
    let Some(server) = shared(kind) else { return };
    let count = AtomicUsize::new(0);
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let store_clock = Some(Arc::clone(&clock) as Arc<dyn Clock>);
        let table = format!("kit_{}", count.fetch_add(1, Ordering::Relaxed));
        let options = PostgresOptions { clock: store_clock, ..options(&table) };
        let store = Arc::new(PostgresStore::connect(server.url(), options).unwrap());
        Subject { many_keys: 2_000, ..Subject::new(store, Some(clock)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_in_transaction_mode() {
    conforms(Kind::PgBouncerTransaction).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_in_session_mode() {
    conforms(Kind::PgBouncerSession).await;
}

/// Not a test: a process that runs a workload, and numbers its statements by itself.
#[tokio::test(flavor = "multi_thread")]
async fn workload_process() {
    let Some(words) = std::env::var(CHILD).ok() else { return };
    let [url, seed, seconds, limit] = words.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let command_timeout = Duration::from_secs(limit.parse().unwrap());
    let pool = PoolOptions { max_connections: 4, command_timeout, ..PoolOptions::default() };
    let store = PostgresStore::connect(url, PostgresOptions { pool, ..options("workload") }).unwrap();
    let (seed, time) = (seed.parse::<u64>().unwrap(), Duration::from_secs(seconds.parse().unwrap()));
    let mut clients = JoinSet::new();
    for n in 0..4 {
        let store = store.clone();
        clients.spawn(async move { run_workload(&store, seed * 1_000 + n, time).await });
    }
    for report in clients.join_all().await {
        println!("WORKLOAD {report}");
    }
}

/// Starts processes that run a workload for this time, with a `command_timeout` of `limit` seconds.
fn children(url: &str, count: u64, time: Duration, limit: u64) -> Vec<std::process::Child> {
    let child = |seed: u64| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "pooler::workload_process", "--nocapture"]);
        command.env(CHILD, format!("{url} {} {} {limit}", seed + 1, time.as_secs()));
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    (0..count).map(child).collect()
}

/// Returns the sum of the processes' reports.
fn total(children: Vec<std::process::Child>) -> WorkloadReport {
    let mut all = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let reports: Vec<WorkloadReport> =
            text.lines().filter_map(|line| WorkloadReport::parse(line.split_once("WORKLOAD ")?.1)).collect();
        assert_eq!(reports.len(), 4, "{text}");
        all.extend(reports);
    }
    let sum = WorkloadReport::sum(all);
    println!("{sum}");
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_processes_behind_a_pooler_never_execute_each_other_s_statements() {
    let Some(server) = Server::start(Kind::PgBouncerTransaction) else { return };
    PostgresStore::connect(server.url(), options("workload")).unwrap().migrate().await.unwrap();
    let children = children(server.url(), 3, seconds(2, 60), 30);
    let report = tokio::task::block_in_place(|| total(children));
    assert!(report.acknowledged > 100, "{report}");
    assert_eq!((report.lost, report.revived, report.refused), (0, 0, 0), "{report}");
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns how many connections of the store the server has, and how many of them wait for a lock.
async fn backends(client: &Client) -> (i64, i64) {
    let query = "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity \
                 WHERE datname = 'ampoule' AND pid <> pg_backend_pid() AND query NOT LIKE 'LOCK%'";
    let row = client.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Repeatedly holds a lock for longer than `command_timeout` while processes run a workload, and asserts that they lose
/// nothing and that the server never has more than `max` connections.
async fn assert_holds_under_locks(server: &Server, direct: &str, max: i64) {
    PostgresStore::connect(direct, options("workload")).unwrap().migrate().await.unwrap();
    let (time, held) = (seconds(5, 60), seconds(3, 5));
    let children = children(server.url(), 2, time, 1);
    let (locker, watcher) = (client(direct).await, client(direct).await);
    let started = std::time::Instant::now();
    let (mut peak, mut waited) = (0, 0);
    while started.elapsed() + held < time {
        tokio::time::sleep(Duration::from_millis(500)).await;
        locker.batch_execute("BEGIN; LOCK TABLE workload IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let locked = std::time::Instant::now();
        while locked.elapsed() < held {
            let (all, waiting) = backends(&watcher).await;
            (peak, waited) = (peak.max(all), waited.max(waiting));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        locker.batch_execute("COMMIT").await.unwrap();
    }
    let report = tokio::task::block_in_place(|| total(children));
    println!("backends: {peak} at most; {waited} of them waited for the lock");
    assert!(waited > 0 && report.refused > 0, "no statement waited for the lock: {report}");
    assert_eq!((report.lost, report.revived), (0, 0), "{report}");
    assert!(report.acknowledged > 50, "{report}");
    assert!(peak <= max, "{peak} backends");
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_statements_under_a_lock_are_cancelled_and_connections_do_not_pile_up() {
    let Some(server) = Server::start(Kind::Postgres) else { return };
    // Two processes of four connections each, and the locker.
    assert_holds_under_locks(&server, server.url(), 2 * 4 + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_behind_a_pooler_connections_do_not_pile_up_under_a_lock() {
    let Some(server) = Server::start(Kind::PgBouncerTransaction) else { return };
    let direct = format!("postgres://ampoule@127.0.0.1:{}/ampoule", server.nodes()[1].port);
    assert_holds_under_locks(&server, &direct, 4 + 1).await;
}

fn entry() -> Entry {
    Entry { value: Bytes::from("x"), lifetime: Duration::MAX, tag: None }
}

/// The server's view of prepared statements shows which have names.
#[tokio::test(flavor = "multi_thread")]
async fn statements_have_names_unless_there_is_a_pooler() {
    let Some(server) = shared(Kind::PgBouncerSession) else { return };
    let direct = format!("postgres://ampoule@127.0.0.1:{}/ampoule", server.nodes()[1].port);
    for (url, prepared_statements, expected) in [
        (direct.as_str(), None, true),
        (direct.as_str(), Some(false), false),
        (server.url(), None, false),
        (server.url(), Some(true), true),
    ] {
        use ampoule_store_postgres::deadpool_postgres_0_14::{Config, Runtime};
        let config = Config { url: Some(url.to_owned()), ..Config::default() };
        let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap();
        pool.resize(1);
        let options = PostgresOptions { prepared_statements, ..options("named") };
        let store = PostgresStore::with_pool(pool.clone(), options).unwrap();
        let _ = store.put(StoreKey::digest(b"named"), entry(), PutMode::Always).await.unwrap();
        store.ping().await.unwrap();
        let client = pool.get().await.unwrap();
        let names = client.simple_query("SELECT name FROM pg_prepared_statements").await.unwrap();
        let rows = names.iter().filter(|part| matches!(part, tokio_postgres::SimpleQueryMessage::Row(_))).count();
        assert_eq!(rows > 0, expected, "{url} {prepared_statements:?}: {rows} names");
    }
}

/// `options` in the URL are for the server, and a pooler does not pass them on.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_rejects_options_is_an_error_that_says_so() {
    let Some(server) = shared(Kind::PgBouncerSession) else { return };
    let url = format!("{}?options=-c%20search_path%3Dx", server.url());
    let store = PostgresStore::connect(&url, options("x")).unwrap();
    let error = store.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("ignore_startup_parameters"), "{error}");
}
