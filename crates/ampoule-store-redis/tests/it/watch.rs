//! What a store in Redis tells of changes by others.

use std::time::Duration;

use ampoule_core::{Bytes, Entry, PutMode, Store, StoreEvent, StoreKey, Watcher};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server, shared};

fn open(url: &str, prefix: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::default() }).unwrap()
}

async fn next(watch: &mut Box<dyn Watcher>) -> StoreEvent {
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("it is told in time")
}

async fn write(store: &RedisStore, key: StoreKey, lifetime: Duration) {
    let entry = Entry { value: Bytes::from_static(b"v"), lifetime, tag: None };
    let _ = store.put(key, entry, PutMode::Always).await.unwrap();
}

/// A single server, and the master behind Sentinel.
async fn changes_by_others_are_told(url: &str) {
    let (watching, other, stranger) = (open(url, "w:"), open(url, "w:"), open(url, "other:"));
    let mut watch = watching.watch().unwrap();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown, "from here on");
    let (one, two) = (StoreKey::digest(b"1"), StoreKey::digest(b"2"));
    write(&stranger, one, Duration::MAX).await;
    write(&other, one, Duration::MAX).await;
    assert_eq!(next(&mut watch).await, StoreEvent::Key(one));
    other.delete(one).await.unwrap();
    assert_eq!(next(&mut watch).await, StoreEvent::Key(one));
    write(&other, two, Duration::from_millis(300)).await;
    assert_eq!(next(&mut watch).await, StoreEvent::Key(two));
    assert_eq!(next(&mut watch).await, StoreEvent::Key(two), "it has expired");
}

#[tokio::test]
async fn a_single_server_tells() {
    let Some(server) = shared(Kind::Redis) else { return };
    changes_by_others_are_told(server.url()).await;
}

#[tokio::test]
async fn the_master_of_sentinels_tells() {
    let Some(server) = shared(Kind::RedisSentinel) else { return };
    changes_by_others_are_told(server.url()).await;
}

#[tokio::test]
async fn a_cluster_says_that_it_cannot() {
    let Some(server) = shared(Kind::RedisCluster) else { return };
    assert!(open(server.url(), "w:").watch().is_none());
}

#[tokio::test]
async fn a_lost_connection_is_told_and_made_again() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = open(server.url(), "w:");
    let mut watch = store.watch().unwrap();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown);
    server.node().kill();
    assert_eq!(next(&mut watch).await, StoreEvent::Lost);
    server.node().restart();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown);
    let key = StoreKey::digest(b"1");
    write(&store, key, Duration::MAX).await;
    assert_eq!(next(&mut watch).await, StoreEvent::Key(key));
    // A server that hangs is as good as lost.
    server.node().pause();
    assert_eq!(next(&mut watch).await, StoreEvent::Lost);
    server.node().resume();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown);
}
