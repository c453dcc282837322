//! The table, restarts of the server, and time limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Entry, ErrorKind, ManualClock, PoolOptions, PutMode, PutResult, Store, StoreKey};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, Server, shared};
use tokio::task::JoinSet;

fn entry(size: usize) -> Entry {
    Entry { value: Bytes::from(vec![7; size]), lifetime: Duration::MAX, tag: None }
}

fn options(table: &str) -> PostgresOptions {
    PostgresOptions { table: table.to_owned(), ..PostgresOptions::default() }
}

async fn create(store: &PostgresStore, name: &str) -> Result<PutResult, ampoule_core::Error> {
    store.put(StoreKey::digest(name.as_bytes()), entry(9), PutMode::Create).await
}

#[tokio::test]
async fn an_invalid_url_or_table_is_an_error_without_the_password() {
    for url in ["", "db.example", "postgres://app:hunter2@db:port/app", "postgres://app:hunter2@db/app?sslmode=maybe"] {
        let error = PostgresStore::connect(url, PostgresOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!error.report().contains("hunter2"), "{error}");
    }
    for table in ["", "a-b", "x\"; DROP TABLE y; --", "a.b", &"t".repeat(51)] {
        let error = PostgresStore::connect("postgres://app@db/app", options(table)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table:?}");
    }
    let store = PostgresStore::connect("postgres://app:hunter2@db.example:5433/shop", options("logins")).unwrap();
    assert_eq!(store.describe(), "PostgreSQL at db.example:5433/shop, table logins");
    assert!(!format!("{store:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stores_can_create_the_missing_table_at_once() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let mut first = JoinSet::new();
    for n in 0..8 {
        let options = PostgresOptions { schema: Some("fresh".to_owned()), ..options("made_at_once") };
        let store = PostgresStore::connect(server.url(), options).unwrap();
        first.spawn(async move {
            if n % 2 == 0 {
                store.migrate().await.unwrap();
            }
            create(&store, &format!("at once {n}")).await.unwrap()
        });
    }
    assert!(first.join_all().await.iter().all(|result| matches!(result, PutResult::Stored(_))));
    let options = PostgresOptions { migrate: false, ..options("never_made") };
    let store = PostgresStore::connect(server.url(), options).unwrap();
    let error = create(&store, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("no table \"never_made\": call migrate()"), "{error}");
    store.migrate().await.unwrap();
    assert!(matches!(create(&store, "x").await.unwrap(), PutResult::Stored(_)));
}

/// A statement that found no table was not executed, so the second one has a certain outcome.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_creators_wins_when_the_table_is_missing() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let mut creators = JoinSet::new();
    for _ in 0..8 {
        let store = PostgresStore::connect(server.url(), options("made_by_creators")).unwrap();
        creators.spawn(async move { create(&store, "one key").await.unwrap() });
    }
    let results = creators.join_all().await;
    let won = results.iter().filter(|result| matches!(result, PutResult::Stored(_))).count();
    assert_eq!(won, 1, "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start_is_used_once_it_is_up() {
    let Some(server) = Server::start(Kind::PostgresDurable) else { return };
    tokio::task::block_in_place(|| server.node().kill());
    let store = PostgresStore::connect(server.url(), options("later")).unwrap();
    assert_eq!(create(&store, "a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    tokio::task::block_in_place(|| server.node().restart());
    assert!(matches!(create(&store, "a").await.unwrap(), PutResult::Stored(_)));
    tokio::task::block_in_place(|| server.node().kill());
    tokio::task::block_in_place(|| server.node().restart());
    let found = store.get(StoreKey::digest(b"a")).await.unwrap();
    assert!(found.is_some(), "connections from before the restart are replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_server_that_hangs_is_a_timeout_within_the_limit() {
    let Some(server) = Server::start(Kind::Postgres) else { return };
    let pool = PoolOptions { command_timeout: Duration::from_millis(300), ..PoolOptions::default() };
    let store = PostgresStore::connect(server.url(), PostgresOptions { pool, ..options("hangs") }).unwrap();
    let _ = create(&store, "a").await.unwrap();
    server.node().pause();
    let started = Instant::now();
    let error = store.get(StoreKey::digest(b"a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    server.node().resume();
    assert!(store.get(StoreKey::digest(b"a")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_an_exhausted_pool_is_a_timeout_within_the_limit() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let pool_timeout = Duration::from_millis(200);
    let pool = PoolOptions { max_connections: 1, pool_timeout, ..PoolOptions::default() };
    let store = PostgresStore::connect(server.url(), PostgresOptions { pool, ..options("one") }).unwrap();
    store.migrate().await.unwrap();
    let (client, connection) = tokio_postgres::connect(server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE one IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (slow, waiting) = tokio::join!(create(&store, "a"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = create(&store, "b").await.unwrap_err();
        client.batch_execute("COMMIT").await.unwrap();
        error
    });
    assert!(matches!(slow.unwrap(), PutResult::Stored(_)));
    assert!(waiting.kind() == ErrorKind::Timeout && waiting.report().contains("pool_timeout"), "{waiting}");
}

/// One node sweeps at a time, and skips rows that another node is writing.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_can_sweep_at_once() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let clock = Arc::new(ManualClock::default());
    let node = || {
        let options = PostgresOptions { clock: Some(clock.clone()), ..options("swept_by_many") };
        PostgresStore::connect(server.url(), options).unwrap()
    };
    let first = node();
    for n in 0..600 {
        let lifetime = if n % 2 == 0 { Duration::from_secs(60) } else { Duration::MAX };
        let entry = Entry { lifetime, ..entry(9) };
        let _ = first.put(StoreKey::digest(format!("swept {n}").as_bytes()), entry, PutMode::Create).await.unwrap();
    }
    clock.advance(Duration::from_secs(61));
    let mut nodes = JoinSet::new();
    for _ in 0..4 {
        let node = node();
        nodes.spawn(async move {
            let mut removed = 0;
            for _ in 0..100 {
                removed += node.sweep(10).await.unwrap().removed;
            }
            removed
        });
    }
    assert_eq!(nodes.join_all().await.iter().sum::<u64>(), 300, "each expired row is removed once, and no live one");
    assert_eq!(first.scan(None, 1_000).await.unwrap().keys.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_can_use_the_application_s_pool() {
    use ampoule_store_postgres::deadpool_postgres_0_14::{Config, Runtime};
    let Some(server) = shared(Kind::Postgres) else { return };
    let config = Config { url: Some(server.url().to_owned()), ..Config::default() };
    let pool = config.create_pool(Some(Runtime::Tokio1), tokio_postgres::NoTls).unwrap();
    let store = PostgresStore::with_pool(pool.clone(), options("own_pool")).unwrap();
    assert!(matches!(create(&store, "a").await.unwrap(), PutResult::Stored(_)));
    assert!(pool.status().size > 0, "the application's pool was used");
}
