//! The behaviour of a Redis server: URLs, scripts, restarts, hanging, memory, replicas, and the sets of tags.

use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Entry, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey, Tag, Version};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server, shared};

fn entry(size: usize) -> Entry {
    Entry { value: Bytes::from(vec![7; size]), lifetime: Duration::MAX, tag: None }
}

fn options(prefix: &str) -> RedisOptions {
    RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::default() }
}

async fn create(store: &RedisStore, name: &str) -> Result<PutResult, ampoule_core::Error> {
    store.put(StoreKey::digest(name.as_bytes()), entry(9), PutMode::Create).await
}

async fn send(server: &Server, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

#[test]
fn an_error_for_an_invalid_url_contains_no_password() {
    let invalid = [
        "",
        "cache.example",
        "http://cache.example",
        "redis://:hunter2@host:port",
        "redis+sentinel://:hunter2@host:26379",
        "redis+sentinel:///mymaster",
        "redis+cluster://",
        "redis+cluster://:hunter2@host:port",
    ];
    for url in invalid {
        let error = RedisStore::connect(url, RedisOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(!error.report().contains("hunter2"), "{error}");
    }
    let replicas = RedisOptions { replicas: 1, ..RedisOptions::default() };
    assert_eq!(RedisStore::connect("redis+cluster://a", replicas).unwrap_err().kind(), ErrorKind::Config);
    assert!(RedisStore::connect("redis://h", options(&"p".repeat(101))).is_err());
}

#[test]
fn the_description_contains_the_location_and_no_password() {
    let descriptions = [
        ("redis://:hunter2@cache.example", "Redis at cache.example:6379, keys ampoule:*"),
        ("valkey://cache.example:7000/2", "Redis at cache.example:7000/2, keys ampoule:*"),
        (
            "redis+sentinel://u:hunter2@a,b:1/mymaster/3",
            "Redis at the master mymaster of the sentinels a:26379,b:1, keys ampoule:*",
        ),
        ("valkey+cluster://u:hunter2@a:1,b:2", "Redis at the Cluster of a:1,b:2, keys ampoule:*"),
    ];
    for (url, expected) in descriptions {
        let store = RedisStore::connect(url, RedisOptions::default()).unwrap();
        assert_eq!(store.describe(), expected);
        assert!(!format!("{store:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn scripts_are_loaded_again_after_the_server_loses_them() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), options("scripts:")).unwrap();
    let tagged = Entry { tag: Some(Tag::of("ada")), ..entry(9) };
    for n in 0..3 {
        let result = store.put(StoreKey::digest(&[n]), tagged.clone(), PutMode::Create).await.unwrap();
        assert!(matches!(result, PutResult::Stored(_)));
        send(&server, &["SCRIPT", "FLUSH"]).await;
    }
    assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_after_a_restart_succeeds() {
    let Some(server) = Server::start(Kind::RedisDurable) else { return };
    let store = RedisStore::connect(server.url(), options("restart:")).unwrap();
    let _ = create(&store, "a").await.unwrap();
    for _ in 0..3 {
        tokio::task::block_in_place(|| server.node().kill());
        tokio::task::block_in_place(|| server.node().restart());
        assert!(store.get(StoreKey::digest(b"a")).await.unwrap().is_some(), "the value was on the disk");
    }
    tokio::task::block_in_place(|| server.node().kill());
    let on_the_dead_connection = create(&store, "b").await.unwrap_err();
    assert_eq!(on_the_dead_connection.kind(), ErrorKind::Timeout, "the outcome is unknown");
    assert_eq!(create(&store, "b").await.unwrap_err().kind(), ErrorKind::Unavailable, "there was no connection");
    tokio::task::block_in_place(|| server.node().restart());
    assert!(matches!(create(&store, "b").await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_server_that_hangs_is_a_timeout_within_the_limit() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let short = Duration::from_millis(300);
    let pool = PoolOptions { command_timeout: short, connect_timeout: short, ..PoolOptions::default() };
    let store = RedisStore::connect(server.url(), RedisOptions { pool, ..options("hangs:") }).unwrap();
    let _ = create(&store, "a").await.unwrap();
    server.node().pause();
    for _ in 0..2 {
        let started = Instant::now();
        let error = store.get(StoreKey::digest(b"a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    server.node().resume();
    assert!(store.get(StoreKey::digest(b"a")).await.unwrap().is_some());
}

#[tokio::test]
async fn p9_a_full_server_refuses_values_and_evicts_none() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), options("full:")).unwrap();
    let _ = create(&store, "first").await.unwrap();
    let (brief, minute) = (StoreKey::digest(b"brief"), Duration::from_secs(60));
    let put = store.put(brief, Entry { lifetime: minute, ..entry(9) }, PutMode::Create).await;
    let PutResult::Stored(version) = put.unwrap() else { panic!("the key existed") };
    send(&server, &["CONFIG", "SET", "maxmemory", "3mb"]).await;
    let mut refused = None;
    for n in 0..100_u8 {
        if let Err(error) = store.put(StoreKey::digest(&[n]), entry(100_000), PutMode::Create).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("3 MB are full after 100 values of 100 kB");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    send(&server, &["CONFIG", "SET", "maxmemory", "1mb"]).await;
    assert!(store.touch(brief, version, Duration::from_secs(3_600)).await.unwrap(), "a touch needs no memory");
    assert!(store.get(StoreKey::digest(b"first")).await.unwrap().is_some());
}

#[tokio::test]
async fn p7_data_of_another_program_is_corrupt_until_it_is_deleted() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), options("damage:")).unwrap();
    let [text, list] = [b"text", b"list"].map(|name| StoreKey::digest(name));
    send(server, &["SET", &format!("damage:{text}"), "another program's value, long enough for a header"]).await;
    send(server, &["LPUSH", &format!("damage:{list}"), "x"]).await;
    for key in [text, list] {
        assert_eq!(store.get(key).await.unwrap_err().kind(), ErrorKind::Corrupt);
        for mode in [PutMode::Create, PutMode::Replace(Version(7)), PutMode::Always] {
            assert_eq!(store.put(key, entry(9), mode).await.unwrap_err().kind(), ErrorKind::Corrupt, "{mode:?}");
        }
        let touched = store.touch(key, Version(7), Duration::from_secs(60)).await;
        assert_eq!(touched.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert!(!store.delete(text).await.unwrap(), "a corrupt value can be deleted");
    assert!(matches!(store.put(text, entry(9), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_put_that_too_few_replicas_received_is_a_timeout() {
    let Some(server) = shared(Kind::RedisSentinel) else { return };
    let waiting_for = |replicas| {
        let pool = PoolOptions { command_timeout: Duration::from_millis(800), ..PoolOptions::default() };
        let options = RedisOptions { replicas, pool, ..options("replicas:") };
        RedisStore::connect(server.url(), options).unwrap()
    };
    assert!(matches!(create(&waiting_for(1), "one").await.unwrap(), PutResult::Stored(_)));
    let error = create(&waiting_for(2), "two").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "there is only one replica: {error}");
    assert_eq!(create(&waiting_for(1), "two").await.unwrap(), PutResult::Conflict, "the master has the value");
}

/// Neither expired values nor the sets of their tags remain.
#[tokio::test]
async fn p9_values_and_tags_expire_by_themselves() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), options("")).unwrap();
    for n in 0..10_u8 {
        let entry = Entry { lifetime: Duration::from_millis(400), tag: Some(Tag::of("ada")), ..entry(9) };
        let _ = store.put(StoreKey::digest(&[n]), entry, PutMode::Create).await.unwrap();
    }
    assert_eq!(send(&server, &["DBSIZE"]).await, redis::Value::Int(11));
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap(), []);
    let redis::Value::Int(ttl) = send(&server, &["PTTL", &format!("tag:{}", Tag::of("ada"))]).await else { panic!() };
    assert!((0..=60_400).contains(&ttl), "the set must outlive its last value by at most a minute, not {ttl} ms");
}

/// Writers clean the set of a tag of keys that were deleted long ago.
#[tokio::test]
async fn p9_a_tag_does_not_grow_with_deleted_sessions() {
    use ampoule_core::ManualClock;
    let Some(server) = shared(Kind::Redis) else { return };
    let clock = std::sync::Arc::new(ManualClock::default());
    let store =
        RedisStore::connect(server.url(), RedisOptions { clock: Some(clock.clone()), ..options("grows:") }).unwrap();
    for n in 0..1_000_u32 {
        let entry = Entry { tag: Some(Tag::of("ada")), ..entry(9) };
        let key = StoreKey::digest(&n.to_le_bytes());
        let _ = store.put(key, entry, PutMode::Create).await.unwrap();
        store.delete(key).await.unwrap();
        clock.advance(Duration::from_secs(2));
    }
    let redis::Value::Int(size) = send(server, &["ZCARD", &format!("grows:tag:{}", Tag::of("ada"))]).await else {
        panic!()
    };
    assert!(size < 200, "the tag of no value has {size} keys");
}
