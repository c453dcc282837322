//! A process whose clock is two days off ends no value, prolongs none, and writes the correct deadlines.

use std::process::Command;
use std::time::Duration;

use ampoule_core::{Bytes, Clock, Entry, PutMode, PutResult, Store, StoreKey, SystemClock, Time, Version};
use ampoule_store_redis::redis_1 as redis;
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, set_clock_off, shared};

const HOUR: Duration = Duration::from_secs(3_600);
const CHILD: &str = "AMPOULE_TEST_CLOCK_OFF";

fn open(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions { prefix: "off:".to_owned(), ..RedisOptions::default() }).unwrap()
}

fn key(name: &str) -> StoreKey {
    StoreKey::digest(name.as_bytes())
}

async fn create(store: &RedisStore, name: &str, lifetime: Duration) -> Version {
    let entry = Entry { value: Bytes::from("x"), lifetime, tag: None };
    let PutResult::Stored(version) = store.put(key(name), entry, PutMode::Create).await.unwrap() else {
        panic!("{name} existed");
    };
    version
}

/// Not a test of its own: the process of the test below, whose clock is two days off.
#[tokio::test(flavor = "multi_thread")]
async fn process_whose_clock_is_off() {
    let Some(url) = std::env::var(CHILD).ok() else { return };
    let store = open(&url);
    let difference = store.ping().await.unwrap().as_millis().abs_diff(SystemClock.now().as_millis());
    assert!(difference > 40 * 3_600_000, "this process's clock is {difference} ms off");
    assert_eq!(store.sweep(100).await.unwrap().removed, 0);
    let lives = store.get(key("lives")).await.unwrap().expect("the value is live");
    assert!(store.get(key("expired")).await.unwrap().is_none());
    assert!(store.touch(key("lives"), lives.version, 2 * HOUR).await.unwrap());
    create(&store, "of the child", HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_two_days_off_ends_and_prolongs_nothing() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server.url());
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    for offset in ["+2d", "-2d"] {
        create(&store, "lives", HOUR).await;
        create(&store, "expired", Duration::from_millis(1)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "clock::process_whose_clock_is_off"]).env(CHILD, server.url());
        if !set_clock_off(&mut child, offset) {
            return;
        }
        let output = tokio::task::block_in_place(|| child.output().unwrap());
        assert!(output.status.success(), "{offset}: {}", String::from_utf8_lossy(&output.stdout));
        for (name, lifetime) in [("lives", 2 * HOUR), ("of the child", HOUR)] {
            let deadline: Time = store.get(key(name)).await.unwrap().unwrap().deadline;
            let off = deadline.as_millis().abs_diff((SystemClock.now() + lifetime).as_millis());
            assert!(off < 60_000, "{offset}: the deadline of {name} is {off} ms off");
            let mut pttl = redis::cmd("PTTL");
            let left: u64 = pttl.arg(format!("off:{}", key(name))).query_async(&mut connection).await.unwrap();
            assert!(left.abs_diff(lifetime.as_millis() as u64) < 60_000, "{offset}: {name} lives {left} ms more");
            assert!(store.delete(key(name)).await.unwrap(), "{offset}");
        }
    }
}
