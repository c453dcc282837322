//! Only the server's clock decides what has expired; neither the application's clock nor a time zone has an effect.

use std::process::Command;
use std::time::Duration;

use ampoule_core::{Bytes, Clock, Entry, PutMode, PutResult, Store, StoreKey, SystemClock, Time, Version};
use ampoule_store_mysql::mysql_async_0_37::prelude::Queryable;
use ampoule_store_mysql::mysql_async_0_37::{Opts, OptsBuilder, Pool};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Kind, set_clock_off, shared};

const HOUR: Duration = Duration::from_secs(3_600);

/// Returns a store whose connections execute this statement first.
fn store_with_setup(url: &str, statement: &str, table: &str) -> MySqlStore {
    let opts = OptsBuilder::from_opts(Opts::from_url(url).unwrap()).setup(vec![statement]);
    let options = MySqlOptions { table: table.to_owned(), ..MySqlOptions::default() };
    MySqlStore::with_pool(Pool::new(opts), options).unwrap()
}

async fn create(store: &MySqlStore, key: StoreKey, lifetime: Duration) -> Version {
    let entry = Entry { value: Bytes::from("x"), lifetime, tag: None };
    let PutResult::Stored(version) = store.put(key, entry, PutMode::Create).await.unwrap() else {
        panic!("the key was free");
    };
    version
}

async fn deadline(store: &MySqlStore, key: StoreKey) -> Option<Time> {
    store.get(key).await.unwrap().map(|stored| stored.deadline)
}

/// `SET timestamp` sets the server's clock for one connection, so that it differs far from the application's clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_of_the_application_neither_ends_nor_prolongs_sessions() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let at = |now: Time| {
        let (seconds, millis) = (now.as_millis() / 1_000, now.as_millis() % 1_000);
        store_with_setup(server.url(), &format!("SET timestamp = {seconds}.{millis:03}"), "skewed")
    };
    for (name, year) in [("ahead", 2_037), ("behind", 1_990)] {
        let now = Time::from_millis((year - 1_970) * 31_557_600_000 + 250);
        let node = at(now);
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
        let node = at(now + HOUR);
        assert_eq!(deadline(&node, created).await, None, "{name}");
        assert_eq!(node.scan(None, 100).await.unwrap().keys.len(), 2, "{name}");
        assert_eq!(node.sweep(100).await.unwrap().removed, 1, "{name}");
        assert!(node.delete(touched).await.unwrap() && node.delete(replaced).await.unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_the_server_s_time_plus_the_lifetime_in_any_time_zone() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    let mut conn = Pool::new(server.url()).get_conn().await.unwrap();
    let mut now = async || {
        let seconds: Option<f64> = conn.query_first("SELECT 0e0 + UNIX_TIMESTAMP(SYSDATE(3))").await.unwrap();
        Time::ZERO + Duration::from_secs_f64(seconds.unwrap() + 0.000_1)
    };
    for zone in ["+00:00", "+09:00", "-11:00"] {
        let store = store_with_setup(server.url(), &format!("SET time_zone = '{zone}'"), "deadlines");
        store.migrate().await.unwrap();
        let key = StoreKey::digest(zone.as_bytes());
        let before = now().await;
        create(&store, key, HOUR).await;
        let after = now().await;
        let found = deadline(&store, key).await.unwrap();
        assert!((before + HOUR..=after + HOUR).contains(&found), "{zone}: {found:?} for {before:?} to {after:?}");
        let off = store.ping().await.unwrap().as_millis().abs_diff(SystemClock.now().as_millis());
        assert!(off < 5_000, "{zone}: {off} ms, for a server on this machine");
        let forever = StoreKey::digest(format!("for ever {zone}").as_bytes());
        let version = create(&store, forever, Duration::MAX).await;
        assert!(store.touch(forever, version, Duration::MAX).await.unwrap());
        assert_eq!(deadline(&store, forever).await, Some(Time::MAX));
    }
}

const CHILD: &str = "AMPOULE_TEST_CLOCK_OFF";

fn off(url: &str) -> MySqlStore {
    MySqlStore::connect(url, MySqlOptions { table: "off".to_owned(), ..MySqlOptions::default() }).unwrap()
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
    let Some(server) = shared(Kind::MariaDb) else { return };
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
