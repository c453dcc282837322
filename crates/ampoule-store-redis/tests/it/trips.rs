//! The cost of each operation, in commands as counted by the server.

use std::collections::BTreeMap;
use std::time::Duration;

use ampoule_core::{Bytes, Entry, PutMode, PutResult, Store, StoreKey, Tag, Version};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

const HOUR: Duration = Duration::from_secs(3_600);

/// Returns the commands that one operation makes the server run, including those of its scripts: `evalsha getrange
/// set`.
async fn commands<T>(server: &Server, operation: impl Future<Output = T>) -> (String, T) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CONFIG").arg("RESETSTAT").query_async::<()>(&mut connection).await.unwrap();
    let result = operation.await;
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let mut counts = BTreeMap::new();
    for line in stats.lines() {
        let Some((name, numbers)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(":calls=")) else {
            continue;
        };
        counts.insert(name.to_owned(), numbers.split_once(',').unwrap().0.to_owned());
    }
    counts.retain(|name, _| !name.starts_with("config") && !name.starts_with("info"));
    let texts = counts.into_iter().map(|(name, count)| if count == "1" { name } else { format!("{count}*{name}") });
    (texts.collect::<Vec<_>>().join(" "), result)
}

fn version(result: Result<PutResult, ampoule_core::Error>) -> Version {
    match result.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("a conflict with no other writer"),
    }
}

#[tokio::test]
async fn p5_one_command_to_read_and_one_to_save() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), RedisOptions::default()).unwrap();
    let entry = |tag| Entry { value: Bytes::from_static(b"value"), lifetime: HOUR, tag };
    let (plain, tagged) = (StoreKey::digest(b"plain"), StoreKey::digest(b"tagged"));
    let tag = Some(Tag::of("ada"));
    // From here on the connection is open, and the server knows the scripts.
    for tag in [None, Some(Tag::of("eve"))] {
        let warm = StoreKey::digest(b"warm");
        let version = version(store.put(warm, entry(tag), PutMode::Always).await);
        store.touch(warm, version, 2 * HOUR).await.unwrap();
        store.delete(warm).await.unwrap();
    }
    let (cost, put) = commands(&server, store.put(plain, entry(None), PutMode::Create)).await;
    assert_eq!(cost, "set", "create");
    let first = version(put);
    let (cost, _) = commands(&server, store.get(plain)).await;
    assert_eq!(cost, "get", "read");
    let (cost, put) = commands(&server, store.put(plain, entry(None), PutMode::Replace(first))).await;
    assert_eq!(cost, "evalsha getrange set", "save");
    let second = version(put);
    let (cost, touched) = commands(&server, store.touch(plain, second, 2 * HOUR)).await;
    assert_eq!((cost.as_str(), touched.unwrap()), ("evalsha getrange pexpire pttl setrange", true), "touch");
    let (cost, touched) = commands(&server, store.touch(plain, second, HOUR)).await;
    assert_eq!(
        (cost.as_str(), touched.unwrap()),
        ("evalsha getrange pttl", true),
        "touch of a value that lives longer"
    );
    let (cost, touched) = commands(&server, store.touch(plain, first, 3 * HOUR)).await;
    assert_eq!((cost.as_str(), touched.unwrap()), ("evalsha getrange", false), "touch of another version");
    let (cost, put) = commands(&server, store.put(tagged, entry(tag), PutMode::Create)).await;
    let expected = "2*evalsha getrange pexpire pttl set time zadd zcard";
    assert_eq!(cost, expected, "login, in one round trip");
    let (cost, touched) = commands(&server, store.touch(tagged, version(put), 2 * HOUR)).await;
    let expected = "3*evalsha 3*getrange 2*pexpire 3*pttl setrange time zadd zcard";
    assert_eq!((cost.as_str(), touched.unwrap()), (expected, true), "touch of a tagged value, in two round trips");
    let (cost, deleted) = commands(&server, store.delete(plain)).await;
    assert_eq!((cost.as_str(), deleted.unwrap()), ("evalsha getrange unlink", true), "delete");
    let (cost, _) = commands(&server, store.sweep(100)).await;
    assert_eq!(cost, "", "sweep");
}

/// Returns how many headers of values the server has read.
async fn header_reads(server: &Server) -> u64 {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_getrange:calls="));
    line.map_or(0, |line| line.split_once(',').unwrap().0.parse().unwrap())
}

/// All keys are live, so that no cleaning removes any. A cleaning that examined them all would cost more and more.
#[tokio::test]
async fn p9_adding_a_key_to_a_tag_costs_the_same_at_any_size() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), RedisOptions::default()).unwrap();
    let entry = Entry { value: Bytes::new(), lifetime: HOUR, tag: Some(Tag::of("ada")) };
    let mut before = 0;
    let mut costs = Vec::new();
    for number in 0..4_000_u32 {
        let _ = store.put(StoreKey::digest(&number.to_le_bytes()), entry.clone(), PutMode::Create).await.unwrap();
        if number % 1_000 == 999 {
            let after = header_reads(&server).await;
            costs.push(after - before);
            before = after;
        }
    }
    assert!(costs.iter().all(|cost| *cost < 8_000), "headers read in each 1,000 puts: {costs:?}");
    for number in 4_000..4_100_u32 {
        let _ = store.put(StoreKey::digest(&number.to_le_bytes()), entry.clone(), PutMode::Create).await.unwrap();
        let after = header_reads(&server).await;
        assert!(after - before <= 65, "one put read {} headers", after - before);
        before = after;
    }
    assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap().len(), 4_100);
    assert_eq!(header_reads(&server).await - before, 4_100, "a list reads each header once");
}
