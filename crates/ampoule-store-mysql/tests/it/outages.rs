//! Failures on a running server: locks, switchovers, a table that is not created in time.

use std::time::{Duration, Instant};

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::{Bytes, Entry, Error, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey};
use ampoule_store_mysql::mysql_async_0_37::prelude::Queryable;
use ampoule_store_mysql::mysql_async_0_37::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Kind, Server, shared};
use tokio::task::JoinSet;

fn options(table: &str) -> MySqlOptions {
    MySqlOptions { table: table.to_owned(), ..MySqlOptions::default() }
}

async fn conn(url: &str) -> Conn {
    Conn::new(Opts::from_url(url).unwrap()).await.unwrap()
}

async fn create(store: &MySqlStore, name: &str) -> Result<PutResult, Error> {
    let entry = Entry { value: Bytes::from("x"), lifetime: Duration::from_secs(3_600), tag: None };
    store.put(StoreKey::digest(name.as_bytes()), entry, PutMode::Create).await
}

/// As after a switchover: the pool's connections lead to a server that is now read-only.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_became_read_only_are_replaced() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let constraints = PoolConstraints::new(0, 3).unwrap();
    let opts = PoolOpts::new().with_constraints(constraints).with_reset_connection(false);
    let opts = opts.with_inactive_connection_ttl(Duration::from_secs(60));
    let pool = Pool::new(OptsBuilder::from_opts(Opts::from_url(server.url()).unwrap()).pool_opts(opts));
    let store = MySqlStore::with_pool(pool.clone(), options("switched")).unwrap();
    store.migrate().await.unwrap();
    let mut all = [pool.get_conn().await.unwrap(), pool.get_conn().await.unwrap(), pool.get_conn().await.unwrap()];
    for one in &mut all {
        one.query_drop("SET SESSION TRANSACTION READ ONLY").await.unwrap();
    }
    drop(all);
    assert!(matches!(create(&store, "switched").await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_an_error_until_it_accepts_writes() {
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let mut admin = conn(server.url()).await;
    admin.query_drop("CREATE USER app").await.unwrap();
    admin.query_drop("GRANT ALL ON ampoule.* TO app").await.unwrap();
    let url = server.url().replace("root@", "app@");
    let store = MySqlStore::connect(&url, options("read_only")).unwrap();
    store.migrate().await.unwrap();
    admin.query_drop("SET GLOBAL read_only = 1").await.unwrap();
    let error = create(&store, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("accepts no writes"), "{error}");
    admin.query_drop("SET GLOBAL read_only = 0").await.unwrap();
    assert!(matches!(create(&store, "a").await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_created_in_time_is_an_error() {
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let mut locker = conn(server.url()).await;
    locker.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
    let pool = PoolOptions { command_timeout: Duration::from_millis(300), ..PoolOptions::default() };
    let store = MySqlStore::connect(server.url(), MySqlOptions { pool, ..options("unmade") }).unwrap();
    assert_eq!(store.migrate().await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(create(&store, "a").await.is_err());
    locker.query_drop("UNLOCK TABLES").await.unwrap();
    store.migrate().await.unwrap();
    assert!(matches!(create(&store, "a").await.unwrap(), PutResult::Stored(_)));
}

/// Returns the duration of a test in seconds; `AMPOULE_SEARCH` selects the longer one.
fn seconds(short: u64, long: u64) -> Duration {
    Duration::from_secs(if std::env::var_os("AMPOULE_SEARCH").is_some() { long } else { short })
}

/// Repeatedly holds a lock for longer than `command_timeout` while clients run a workload.
#[tokio::test(flavor = "multi_thread")]
async fn p9_statements_under_a_lock_end_and_connections_do_not_pile_up() {
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let (time, held) = (seconds(5, 60), seconds(3, 5));
    let command_timeout = Duration::from_millis(500);
    let pool = PoolOptions { max_connections: 4, command_timeout, ..PoolOptions::default() };
    let limited = MySqlOptions { pool, ..options("workload") };
    let mut clients = JoinSet::new();
    for seed in 0..2 {
        let store = MySqlStore::connect(server.url(), limited.clone()).unwrap();
        store.migrate().await.unwrap();
        for n in 0..4 {
            let store = store.clone();
            clients.spawn(async move { run_workload(&store, seed * 1_000 + n, time).await });
        }
    }
    let (mut locker, mut watcher) = (conn(server.url()).await, conn(server.url()).await);
    let started = Instant::now();
    let (mut peak, mut waited) = (0, 0);
    while started.elapsed() + held < time {
        tokio::time::sleep(Duration::from_millis(500)).await;
        locker.query_drop("LOCK TABLES workload WRITE").await.unwrap();
        let locked = Instant::now();
        while locked.elapsed() < held {
            let query = "SELECT COUNT(*), SUM(state LIKE 'Waiting for table%') FROM information_schema.processlist \
                         WHERE db = 'ampoule'";
            let (all, waiting): (u64, u64) = watcher.query_first(query).await.unwrap().unwrap();
            (peak, waited) = (peak.max(all), waited.max(waiting));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        locker.query_drop("UNLOCK TABLES").await.unwrap();
    }
    let report = WorkloadReport::sum(clients.join_all().await);
    println!("{report}; connections: {peak} at most; {waited} of them waited for the lock");
    assert!(waited > 0 && report.refused > 0 && report.acknowledged > 50, "no statement waited for the lock: {report}");
    assert_eq!((report.lost, report.revived), (0, 0), "{report}");
    // Two stores with four connections each, and the two connections of this test.
    assert!(peak <= 2 * 4 + 2, "{peak} connections");
}
