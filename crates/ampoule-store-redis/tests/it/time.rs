//! The server's clock decides which values are live, for how long, and when keys are removed from a tag's set.

use std::time::Duration;

use ampoule_core::{Bytes, Entry, PutMode, PutResult, Store, StoreKey, SystemClock, Tag, Time, Version};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server, shared};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn open(server: &Server, prefix: &str) -> RedisStore {
    RedisStore::connect(server.url(), RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::default() }).unwrap()
}

async fn create(store: &RedisStore, key: StoreKey, lifetime: Duration, tag: Option<Tag>) -> Version {
    let entry = Entry { value: Bytes::from_static(b"value"), lifetime, tag };
    match store.put(key, entry, PutMode::Create).await.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("the key existed"),
    }
}

async fn send(server: &Server, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn number(server: &Server, words: &[&str]) -> i64 {
    redis::from_redis_value(send(server, words).await).unwrap()
}

fn about(millis: i64, expected: Duration) -> bool {
    let expected = expected.as_millis() as i64;
    (expected - 5_000..=expected).contains(&millis)
}

/// The deadline is fifty years too early, or too late.
#[tokio::test]
async fn the_deadline_in_a_value_decides_nothing() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "wrong:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    let name = format!("wrong:{key}");
    let version = create(&store, key, HOUR, Some(tag)).await;
    send(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
    assert_eq!(store.get(key).await.unwrap().unwrap().deadline, Time::from_millis(1));
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [key]);
    assert!(store.touch(key, version, 2 * HOUR).await.unwrap());
    send(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
    let entry = Entry { value: Bytes::new(), lifetime: Duration::from_millis(100), tag: None };
    assert_eq!(store.put(key, entry.clone(), PutMode::Create).await.unwrap(), PutResult::Conflict);
    let put = store.put(key, entry, PutMode::Replace(version)).await.unwrap();
    assert!(matches!(put, PutResult::Stored(_)));
    send(server, &["SETRANGE", &name, "9", "003000000000000"]).await;
    assert!(store.get(key).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(store.get(key).await.unwrap(), None);
    create(&store, key, HOUR, None).await;
    send(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
    assert!(store.delete(key).await.unwrap());
}

#[tokio::test]
async fn a_touch_raises_the_time_to_live_and_never_lowers_it() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "touch:");
    let key = StoreKey::digest(b"1");
    let name = format!("touch:{key}");
    let version = create(&store, key, HOUR, None).await;
    let deadline = async || store.get(key).await.unwrap().unwrap().deadline;
    let first = deadline().await;
    let steps = [(MINUTE, HOUR), (Duration::ZERO, HOUR), (2 * HOUR, 2 * HOUR), (HOUR, 2 * HOUR)];
    for (lifetime, expected) in steps {
        assert!(store.touch(key, version, lifetime).await.unwrap());
        let ttl = number(server, &["PTTL", &name]).await;
        assert!(about(ttl, expected), "{ttl} ms after a touch for {lifetime:?}");
    }
    let second = deadline().await;
    assert!(second.since(first) >= HOUR - MINUTE, "the deadline in the value is moved too: {first:?}, {second:?}");
    // The deadline was written by a fast clock: the time to live is raised, the deadline stays.
    send(server, &["SETRANGE", &name, "9", "003000000000000"]).await;
    assert!(store.touch(key, version, 3 * HOUR).await.unwrap());
    assert!(about(number(server, &["PTTL", &name]).await, 3 * HOUR));
    assert_eq!(deadline().await, Time::from_millis(3_000_000_000_000));
    for lifetime in [Duration::MAX, HOUR] {
        assert!(store.touch(key, version, lifetime).await.unwrap());
        assert_eq!(number(server, &["PTTL", &name]).await, -1, "a touch does not end a value that lives for ever");
    }
    assert_eq!(deadline().await, Time::MAX);
    for other in [Version(version.0.wrapping_add(1)), Version(0)] {
        assert!(!store.touch(key, other, HOUR).await.unwrap());
    }
}

/// The set of a tag lives longer than any of its values, also after a touch of one of them.
#[tokio::test]
async fn a_tag_s_set_outlives_its_values() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "tag:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    let set = format!("tag:tag:{tag}");
    let version = create(&store, key, HOUR, Some(tag)).await;
    assert!(about(number(server, &["PTTL", &set]).await, HOUR + MINUTE));
    assert!(store.touch(key, version, 2 * HOUR).await.unwrap());
    assert!(about(number(server, &["PTTL", &set]).await, 2 * HOUR + MINUTE));
    create(&store, StoreKey::digest(b"2"), MINUTE, Some(tag)).await;
    assert!(
        about(number(server, &["PTTL", &set]).await, 2 * HOUR + MINUTE),
        "a short-lived value does not shorten the set's life"
    );
    assert!(store.touch(key, version, Duration::MAX).await.unwrap());
    assert_eq!(number(server, &["PTTL", &set]).await, -1);
    create(&store, StoreKey::digest(b"3"), MINUTE, Some(tag)).await;
    assert_eq!(number(server, &["PTTL", &set]).await, -1, "one of the values lives for ever");
}

/// The put adds the key to the tag, and is then refused. The old value lives on, and so must its tag.
#[tokio::test]
async fn a_refused_put_does_not_shorten_the_life_of_a_tag() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "refused:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    create(&store, key, Duration::MAX, Some(tag)).await;
    let entry = Entry { value: Bytes::new(), lifetime: MINUTE, tag: Some(tag) };
    assert_eq!(store.put(key, entry, PutMode::Create).await.unwrap(), PutResult::Conflict);
    assert_eq!(number(server, &["PTTL", &format!("refused:tag:{tag}")]).await, -1);
}

/// A key is added to the set before its value is written, so it is not removed in the first minute.
#[tokio::test]
async fn a_list_removes_keys_without_a_value_after_a_minute() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "forget:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    let set = format!("forget:tag:{tag}");
    let version = create(&store, key, HOUR, Some(tag)).await;
    let added: u64 = redis::from_redis_value(send(server, &["ZRANGE", &set, "0", "-1", "WITHSCORES"]).await)
        .map(|pairs: Vec<(Vec<u8>, u64)>| pairs[0].1)
        .unwrap();
    let off = added.abs_diff(ampoule_core::Clock::now(&SystemClock).as_millis());
    assert!(off < 5_000, "the key was added {off} ms ago");
    let put = store.put(key, Entry { value: Bytes::new(), lifetime: HOUR, tag: None }, PutMode::Replace(version)).await;
    assert!(matches!(put, Ok(PutResult::Stored(_))));
    let score = |seconds: u64| (added - seconds * 1_000).to_string();
    for (seconds, expected) in [(0, 1), (50, 1), (70, 0)] {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut add = redis::cmd("ZADD");
        add.arg(&set).arg(score(seconds)).arg(&key.as_bytes()[..]);
        let _: i64 = add.query_async(&mut connection).await.unwrap();
        assert_eq!(store.keys_with_tag(tag).await.unwrap(), []);
        assert_eq!(number(server, &["ZCARD", &set]).await, expected, "added {seconds} s ago");
    }
}

#[tokio::test]
async fn a_ping_returns_the_server_s_time() {
    let Some(server) = shared(Kind::Redis) else { return };
    let before = Time::from(std::time::SystemTime::now());
    let time = open(server, "ping:").ping().await.unwrap();
    assert!(before <= time && time <= Time::from(std::time::SystemTime::now()), "{time:?} after {before:?}");
}
