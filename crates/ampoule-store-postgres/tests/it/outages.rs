//! Failures on a running server: locks, failed transactions, switchovers, stricter isolation levels.

use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Entry, Error, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey};
use ampoule_store_postgres::deadpool_postgres_0_14::{Config, Pool, Runtime};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, Server, shared};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

fn options(table: &str) -> PostgresOptions {
    PostgresOptions { table: table.to_owned(), ..PostgresOptions::default() }
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns a pool of the application's.
fn pool(url: &str, size: usize) -> Pool {
    let config = Config { url: Some(url.to_owned()), ..Config::default() };
    let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap();
    pool.resize(size);
    pool
}

fn entry() -> Entry {
    Entry { value: Bytes::from("x"), lifetime: Duration::from_secs(3_600), tag: None }
}

async fn create(store: &PostgresStore, name: &str) -> Result<PutResult, Error> {
    store.put(StoreKey::digest(name.as_bytes()), entry(), PutMode::Create).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_leaves_the_application_s_pool_usable() {
    let Some(server) = shared(Kind::Postgres) else { return };
    client(server.url()).await.batch_execute("CREATE VIEW half AS SELECT 1 AS deadline, 1 AS tag").await.unwrap();
    let pool = pool(server.url(), 1);
    let store = PostgresStore::with_pool(pool.clone(), options("half")).unwrap();
    assert!(store.migrate().await.is_err(), "an index on a view was created");
    let application = pool.get().await.unwrap();
    application.query_one("SELECT 1", &[]).await.unwrap();
    application.batch_execute("VACUUM half_not_there").await.expect_err("the table does not exist");
    application.query_one("SELECT 1", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_application_left_in_a_failed_transaction_are_replaced() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let pool = pool(server.url(), 3);
    let store = PostgresStore::with_pool(pool.clone(), options("left")).unwrap();
    store.migrate().await.unwrap();
    let all = [pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()];
    for one in &all {
        one.batch_execute("BEGIN; SELECT 1/0").await.unwrap_err();
    }
    drop(all);
    assert!(matches!(create(&store, "after a failure").await.unwrap(), PutResult::Stored(_)));
}

/// As after a switchover: the pool's connections lead to a server that is now a standby.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_became_read_only_are_replaced() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let pool = pool(server.url(), 3);
    let store = PostgresStore::with_pool(pool.clone(), options("switched")).unwrap();
    store.migrate().await.unwrap();
    let all = [pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()];
    for one in &all {
        one.batch_execute("SET default_transaction_read_only = on").await.unwrap();
    }
    drop(all);
    assert!(matches!(create(&store, "switched").await.unwrap(), PutResult::Stored(_)));
    let read_only = format!("{}?options=-c%20default_transaction_read_only=on", server.url());
    let error = create(&PostgresStore::connect(&read_only, options("switched")).unwrap(), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("accepts no writes"), "{error}");
}

/// The server rolls back statements that conflict with others, and the store repeats them.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_saves_succeed_at_every_isolation_level() {
    let Some(server) = Server::start(Kind::Postgres) else { return };
    for isolation in ["serializable", "repeatable read"] {
        let set = format!("ALTER DATABASE ampoule SET default_transaction_isolation = '{isolation}'");
        client(server.url()).await.batch_execute(&set).await.unwrap();
        let table = isolation.replace(' ', "_");
        for (name, store) in [
            ("own", PostgresStore::connect(server.url(), options(&table)).unwrap()),
            ("shared", PostgresStore::with_pool(pool(server.url(), 8), options(&table)).unwrap()),
        ] {
            store.migrate().await.unwrap();
            let mut writers = JoinSet::new();
            for writer in 0..8 {
                let store = store.clone();
                let key = move |n| StoreKey::digest(format!("{name} {writer} {n}").as_bytes());
                writers.spawn(async move {
                    for n in 0..40 {
                        let PutResult::Stored(version) = store.put(key(n), entry(), PutMode::Create).await.unwrap()
                        else {
                            panic!("{name} {writer} {n}: the key was free");
                        };
                        let replaced = store.put(key(n), entry(), PutMode::Replace(version)).await.unwrap();
                        assert!(matches!(replaced, PutResult::Stored(_)), "{name} {writer} {n}");
                    }
                });
            }
            writers.join_all().await;
        }
    }
}

/// Returns how many statements of the store wait for a lock.
async fn waiting(watcher: &Client) -> i64 {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"locked\"%'";
    watcher.query_one(query, &[]).await.unwrap().get(0)
}

async fn wait_until(watcher: &Client, count: i64) {
    let started = Instant::now();
    while waiting(watcher).await != count {
        assert!(started.elapsed() < Duration::from_secs(20), "{} statements wait", waiting(watcher).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The lock is held until the end of the test, so only the store can end the statements that wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_request_is_cancelled_ends_at_the_server() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let (locker, watcher) = (client(server.url()).await, client(server.url()).await);
    let long = || {
        let pool = PoolOptions { command_timeout: Duration::from_secs(600), ..PoolOptions::default() };
        PostgresOptions { pool, ..options("locked") }
    };
    let own = PostgresStore::connect(server.url(), long()).unwrap();
    own.migrate().await.unwrap();
    let stores = [own, PostgresStore::with_pool(pool(server.url(), 1), long()).unwrap()];
    for store in &stores {
        let _ = store.get(StoreKey::digest(b"x")).await.unwrap();
    }
    locker.batch_execute("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE").await.unwrap();
    for store in stores {
        let request = tokio::spawn(async move { create(&store, "x").await });
        wait_until(&watcher, 1).await;
        request.abort();
        wait_until(&watcher, 0).await;
    }
}
