//! The server's clock decides: what lives, how long, and what a tag's set forgets.

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
        PutResult::Conflict => panic!("the key was there"),
    }
}

async fn ask(server: &Server, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn number(server: &Server, words: &[&str]) -> i64 {
    redis::from_redis_value(ask(server, words).await).unwrap()
}

fn about(millis: i64, expected: Duration) -> bool {
    let expected = expected.as_millis() as i64;
    (expected - 5_000..=expected).contains(&millis)
}

/// The writer's clock was wrong by fifty years, in one direction or the other.
#[tokio::test]
async fn the_deadline_in_a_value_decides_nothing() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "wrong:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    let name = format!("wrong:{key}");
    let version = create(&store, key, HOUR, Some(tag)).await;
    ask(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
    assert_eq!(store.get(key).await.unwrap().unwrap().deadline, Time::from_millis(1));
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [key]);
    assert!(store.touch(key, version, 2 * HOUR).await.unwrap());
    ask(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
    let entry = Entry { value: Bytes::new(), lifetime: Duration::from_millis(100), tag: None };
    assert_eq!(store.put(key, entry.clone(), PutMode::Create).await.unwrap(), PutResult::Conflict);
    let put = store.put(key, entry, PutMode::Replace(version)).await.unwrap();
    assert!(matches!(put, PutResult::Stored(_)));
    ask(server, &["SETRANGE", &name, "9", "003000000000000"]).await;
    assert!(store.get(key).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(store.get(key).await.unwrap(), None);
    create(&store, key, HOUR, None).await;
    ask(server, &["SETRANGE", &name, "9", "000000000000001"]).await;
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
    // A fast clock wrote it: the time to live is raised, the deadline stays.
    ask(server, &["SETRANGE", &name, "9", "003000000000000"]).await;
    assert!(store.touch(key, version, 3 * HOUR).await.unwrap());
    assert!(about(number(server, &["PTTL", &name]).await, 3 * HOUR));
    assert_eq!(deadline().await, Time::from_millis(3_000_000_000_000));
    for lifetime in [Duration::MAX, HOUR] {
        assert!(store.touch(key, version, lifetime).await.unwrap());
        assert_eq!(number(server, &["PTTL", &name]).await, -1, "for ever stays for ever");
    }
    assert_eq!(deadline().await, Time::MAX);
    for wrong in [Version(version.0.wrapping_add(1)), Version(0)] {
        assert!(!store.touch(key, wrong, HOUR).await.unwrap());
    }
}

/// The set of a tag lives longer than any of its values, also when a touch of one of them moves its end.
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
    assert!(about(number(server, &["PTTL", &set]).await, 2 * HOUR + MINUTE), "a brief value shortens nothing");
    assert!(store.touch(key, version, Duration::MAX).await.unwrap());
    assert_eq!(number(server, &["PTTL", &set]).await, -1);
    create(&store, StoreKey::digest(b"3"), MINUTE, Some(tag)).await;
    assert_eq!(number(server, &["PTTL", &set]).await, -1, "one of its values lives for ever");
}

/// The put names the key to the tag, and is then refused: the value that is there lives on, and its tag must.
#[tokio::test]
async fn a_refused_put_shortens_no_tag() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "refused:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    create(&store, key, Duration::MAX, Some(tag)).await;
    let entry = Entry { value: Bytes::new(), lifetime: MINUTE, tag: Some(tag) };
    assert_eq!(store.put(key, entry, PutMode::Create).await.unwrap(), PutResult::Conflict);
    assert_eq!(number(server, &["PTTL", &format!("refused:tag:{tag}")]).await, -1);
}

/// A key is named before its value is there, so it is not forgotten in the first minute.
#[tokio::test]
async fn a_tag_forgets_what_was_named_long_ago_and_is_gone() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = open(server, "forget:");
    let (key, tag) = (StoreKey::digest(b"1"), Tag::of("ada"));
    let set = format!("forget:tag:{tag}");
    let version = create(&store, key, HOUR, Some(tag)).await;
    let named: u64 = redis::from_redis_value(ask(server, &["ZRANGE", &set, "0", "-1", "WITHSCORES"]).await)
        .map(|pairs: Vec<(Vec<u8>, u64)>| pairs[0].1)
        .unwrap();
    let off = named.abs_diff(ampoule_core::Clock::now(&SystemClock).as_millis());
    assert!(off < 5_000, "it was named {off} ms ago");
    let put = store.put(key, Entry { value: Bytes::new(), lifetime: HOUR, tag: None }, PutMode::Replace(version)).await;
    assert!(matches!(put, Ok(PutResult::Stored(_))));
    let passing = |seconds: u64| (named - seconds * 1_000).to_string();
    for (seconds, expected) in [(0, 1), (50, 1), (70, 0)] {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut add = redis::cmd("ZADD");
        add.arg(&set).arg(passing(seconds)).arg(&key.as_bytes()[..]);
        let _: i64 = add.query_async(&mut connection).await.unwrap();
        assert_eq!(store.keys_with_tag(tag).await.unwrap(), []);
        assert_eq!(number(server, &["ZCARD", &set]).await, expected, "named {seconds} s ago");
    }
}

#[tokio::test]
async fn a_ping_returns_the_server_s_time() {
    let Some(server) = shared(Kind::Redis) else { return };
    let before = Time::from(std::time::SystemTime::now());
    let time = open(server, "ping:").ping().await.unwrap();
    assert!(before <= time && time <= Time::from(std::time::SystemTime::now()), "{time:?} after {before:?}");
}
