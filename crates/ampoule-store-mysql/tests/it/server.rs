//! The table, restarts of the server, size and time limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Entry, ErrorKind, ManualClock, PoolOptions, PutMode, PutResult, Store, StoreKey};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Kind, Server, shared};
use tokio::task::JoinSet;

fn entry(size: usize) -> Entry {
    Entry { value: Bytes::from(vec![7; size]), lifetime: Duration::MAX, tag: None }
}

fn options(table: &str) -> MySqlOptions {
    MySqlOptions { table: table.to_owned(), ..MySqlOptions::default() }
}

async fn create(store: &MySqlStore, name: &str) -> Result<PutResult, ampoule_core::Error> {
    store.put(StoreKey::digest(name.as_bytes()), entry(9), PutMode::Create).await
}

#[tokio::test]
async fn an_invalid_url_or_table_is_an_error_without_the_password() {
    for url in ["", "db.example", "mysql://app:hunter2@db:port/app", "mysql://app:hunter2@db/app?no_such_option=1"] {
        let error = MySqlStore::connect(url, MySqlOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!error.report().contains("hunter2"), "{error}");
    }
    for table in ["", "a-b", "x`; DROP TABLE y; --", "a.b.c", "a.", &"t".repeat(65)] {
        let error = MySqlStore::connect("mysql://app@db/app", options(table)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table:?}");
    }
    let store = MySqlStore::connect("mariadb://app:hunter2@db.example:3307/shop", options("logins")).unwrap();
    assert_eq!(store.describe(), "MySQL at db.example:3307/shop, table logins");
    assert!(!format!("{store:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stores_can_create_the_missing_table_at_once() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let mut first = JoinSet::new();
    for n in 0..8 {
        let store = MySqlStore::connect(server.url(), options("made_at_once")).unwrap();
        first.spawn(async move {
            if n % 2 == 0 {
                store.migrate().await.unwrap();
            }
            create(&store, &format!("at once {n}")).await.unwrap()
        });
    }
    assert!(first.join_all().await.iter().all(|result| matches!(result, PutResult::Stored(_))));
    let options = MySqlOptions { migrate: false, ..options("never_made") };
    let store = MySqlStore::connect(server.url(), options).unwrap();
    let error = create(&store, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("no table never_made: call migrate()"), "{error}");
    store.migrate().await.unwrap();
    assert!(matches!(create(&store, "x").await.unwrap(), PutResult::Stored(_)));
}

/// A statement that found no table was not executed, so the second one has a certain outcome.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_creators_wins_when_the_table_is_missing() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let mut creators = JoinSet::new();
    for _ in 0..8 {
        let store = MySqlStore::connect(server.url(), options("made_by_creators")).unwrap();
        creators.spawn(async move { create(&store, "one key").await.unwrap() });
    }
    let results = creators.join_all().await;
    let won = results.iter().filter(|result| matches!(result, PutResult::Stored(_))).count();
    assert_eq!(won, 1, "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start_is_used_once_it_is_up() {
    let Some(server) = Server::start(Kind::MariaDbDurable) else { return };
    tokio::task::block_in_place(|| server.node().kill());
    let store = MySqlStore::connect(server.url(), options("later")).unwrap();
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
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let limit = Duration::from_millis(300);
    let pool =
        PoolOptions { command_timeout: limit, connect_timeout: limit, pool_timeout: limit, ..PoolOptions::default() };
    let store = MySqlStore::connect(server.url(), MySqlOptions { pool, ..options("hangs") }).unwrap();
    let _ = create(&store, "a").await.unwrap();
    server.node().pause();
    let started = Instant::now();
    let error = store.get(StoreKey::digest(b"a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    server.node().resume();
    assert!(store.get(StoreKey::digest(b"a")).await.unwrap().is_some());
}

/// The nodes sweep one after another, and none fails.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_can_sweep_at_once() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let clock = Arc::new(ManualClock::default());
    let node = || {
        let options = MySqlOptions { clock: Some(clock.clone()), ..options("swept_by_many") };
        MySqlStore::connect(server.url(), options).unwrap()
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

/// 5 MiB are more than a BLOB has, and 20 MiB are more than `max_allowed_packet`.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_can_be_as_large_as_a_packet_but_not_larger() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let store = MySqlStore::connect(server.url(), options("large")).unwrap();
    let key = StoreKey::digest(b"large");
    let _ = store.put(key, entry(5 << 20), PutMode::Create).await.unwrap();
    assert_eq!(store.get(key).await.unwrap().unwrap().value.len(), 5 << 20);
    let error = store.put(key, entry(20 << 20), PutMode::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(store.get(key).await.unwrap().unwrap().value.len(), 5 << 20, "the old value stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_can_use_the_application_s_pool_and_another_database() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let pool = ampoule_store_mysql::mysql_async_0_37::Pool::new(server.url());
    let mut conn = pool.get_conn().await.unwrap();
    ampoule_store_mysql::mysql_async_0_37::prelude::Queryable::query_drop(&mut conn, "CREATE DATABASE other")
        .await
        .unwrap();
    let store = MySqlStore::with_pool(pool.clone(), options("other.own_pool")).unwrap();
    let PutResult::Stored(version) = create(&store, "a").await.unwrap() else { panic!("the key was free") };
    let touched = store.touch(StoreKey::digest(b"a"), version, Duration::MAX).await.unwrap();
    assert!(touched, "the deadline is unchanged, and the row exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_and_its_prepared_statements_are_reused() {
    use ampoule_store_mysql::mysql_async_0_37::{Conn, Opts, prelude::Queryable};
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let pool = PoolOptions { max_connections: 1, ..PoolOptions::default() };
    let store = MySqlStore::connect(server.url(), MySqlOptions { pool, ..options("again") }).unwrap();
    let mut conn = Conn::new(Opts::from_url(server.url()).unwrap()).await.unwrap();
    let mut counts = async || {
        let statement = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Connections', 'Com_stmt_prepare')";
        conn.query_map(statement, |(_, count): (String, u64)| count).await.unwrap()
    };
    assert!(matches!(create(&store, "a").await.unwrap(), PutResult::Stored(_)));
    let get = async || assert!(store.get(StoreKey::digest(b"a")).await.unwrap().is_some());
    get().await;
    let before = counts().await;
    for _ in 0..50 {
        get().await;
    }
    assert_eq!(counts().await, before, "50 reads open no connection and prepare no statement");
}
