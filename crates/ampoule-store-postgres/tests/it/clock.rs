//! Only the server's clock decides what has expired; a wrong clock of the application has no effect.

use std::process::Command;
use std::time::Duration;

use ampoule_core::{Bytes, Clock, Entry, PutMode, PutResult, Store, StoreKey, SystemClock, Time, Version};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Kind, set_clock_off, shared};
use tokio_postgres::{Client, NoTls};

const HOUR: Duration = Duration::from_secs(3_600);

fn options(table: &str) -> PostgresOptions {
    PostgresOptions { table: table.to_owned(), ..PostgresOptions::default() }
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn create(store: &PostgresStore, key: StoreKey, lifetime: Duration) -> Version {
    let entry = Entry { value: Bytes::from("x"), lifetime, tag: None };
    let PutResult::Stored(version) = store.put(key, entry, PutMode::Create).await.unwrap() else {
        panic!("the key was free");
    };
    version
}

async fn deadline(store: &PostgresStore, key: StoreKey) -> Option<Time> {
    store.get(key).await.unwrap().map(|stored| stored.deadline)
}

/// Replaces the server's clock in one schema by a function, so that it differs far from the application's clock.
async fn set_server_clock(client: &Client, schema: &str, now: Time) {
    let seconds = now.as_millis() / 1_000;
    let statement = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; \
         CREATE OR REPLACE FUNCTION {schema}.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE \
         AS 'SELECT to_timestamp({seconds})'"
    );
    client.batch_execute(&statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_of_the_application_neither_ends_nor_prolongs_sessions() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let client = client(server.url()).await;
    let url = format!("{}?options=-c%20search_path%3Dskewed,pg_catalog", server.url());
    let store = || PostgresStore::connect(&url, options("sessions")).unwrap();
    for (name, year) in [("ahead", 2_100), ("behind", 1_990)] {
        let now = Time::from_millis((year - 1_970) * 31_557_600_000);
        set_server_clock(&client, "skewed", now).await;
        let node = store();
        assert_eq!(node.ping().await.unwrap(), now, "{name}");
        let [created, touched, replaced] =
            ["a", "b", "c"].map(|key| StoreKey::digest(format!("{name} {key}").as_bytes()));
        create(&node, created, HOUR).await;
        let version = create(&node, touched, HOUR).await;
        assert!(node.touch(touched, version, 3 * HOUR).await.unwrap());
        let version = create(&node, replaced, HOUR).await;
        let entry = Entry { value: Bytes::from("y"), lifetime: 3 * HOUR, tag: None };
        assert!(matches!(node.put(replaced, entry, PutMode::Replace(version)).await.unwrap(), PutResult::Stored(_)));
        assert_eq!(node.sweep(100).await.unwrap().removed, 0, "{name}: a live session was swept");
        for (key, lifetime) in [(created, HOUR), (touched, 3 * HOUR), (replaced, 3 * HOUR)] {
            assert_eq!(deadline(&node, key).await, Some(now + lifetime), "{name}");
        }
        set_server_clock(&client, "skewed", now + HOUR).await;
        let node = store();
        assert_eq!(deadline(&node, created).await, None, "{name}");
        assert_eq!(node.scan(None, 100).await.unwrap().keys.len(), 2, "{name}");
        assert_eq!(node.sweep(100).await.unwrap().removed, 1, "{name}");
        assert!(node.delete(touched).await.unwrap() && node.delete(replaced).await.unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_the_server_s_time_plus_the_lifetime() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let client = client(server.url()).await;
    let now = async || {
        let statement = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        Time::from_millis(client.query_one(statement, &[]).await.unwrap().get::<_, i64>(0).cast_unsigned())
    };
    let store = PostgresStore::connect(server.url(), options("deadlines")).unwrap();
    store.migrate().await.unwrap();
    let (hour, forever) = (StoreKey::digest(b"an hour"), StoreKey::digest(b"for ever"));
    let before = now().await;
    create(&store, hour, HOUR).await;
    let after = now().await;
    let found = deadline(&store, hour).await.unwrap();
    assert!((before + HOUR..=after + HOUR).contains(&found), "{found:?} is not an hour after {before:?} to {after:?}");
    let version = create(&store, forever, Duration::MAX).await;
    assert_eq!(deadline(&store, forever).await, Some(Time::MAX));
    assert!(store.touch(forever, version, Duration::MAX).await.unwrap());
    assert_eq!(deadline(&store, forever).await, Some(Time::MAX));
}

const CHILD: &str = "AMPOULE_TEST_CLOCK_OFF";

fn off(url: &str) -> PostgresStore {
    PostgresStore::connect(url, options("off")).unwrap()
}

/// Not a test: a process whose clock is two days off.
#[tokio::test(flavor = "multi_thread")]
async fn process_whose_clock_is_off() {
    let Some(url) = std::env::var(CHILD).ok() else { return };
    let store = off(&url);
    let difference = store.ping().await.unwrap().as_millis().abs_diff(SystemClock.now().as_millis());
    assert!(difference > 40 * 3_600_000, "this process's clock is {difference} ms off");
    assert_eq!(store.sweep(100).await.unwrap().removed, 1, "the expired row, and no live one");
    assert!(store.get(StoreKey::digest(b"lives")).await.unwrap().is_some());
    assert!(store.get(StoreKey::digest(b"expired")).await.unwrap().is_none());
    create(&store, StoreKey::digest(b"of the child"), HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_two_days_off_ends_and_prolongs_nothing() {
    let Some(server) = shared(Kind::Postgres) else { return };
    let store = off(server.url());
    for offset in ["+2d", "-2d"] {
        for (name, lifetime) in [("lives", HOUR), ("expired", Duration::from_millis(1))] {
            create(&store, StoreKey::digest(name.as_bytes()), lifetime).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "clock::process_whose_clock_is_off"]).env(CHILD, server.url());
        if !set_clock_off(&mut child, offset) {
            return;
        }
        let output = tokio::task::block_in_place(|| child.output().unwrap());
        assert!(output.status.success(), "{offset}: {}", String::from_utf8_lossy(&output.stdout));
        let found = deadline(&store, StoreKey::digest(b"of the child")).await.unwrap();
        let off = found.as_millis().abs_diff((SystemClock.now() + HOUR).as_millis());
        assert!(off < 60_000, "{offset}: the deadline is {off} ms off");
        for name in ["lives", "of the child"] {
            assert!(store.delete(StoreKey::digest(name.as_bytes())).await.unwrap(), "{offset}");
        }
    }
}
