//! A watcher reports changes by others.

use std::time::Duration;

use ampoule_core::{Bytes, Entry, PutMode, Store, StoreEvent, StoreKey, Watcher};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server, shared};

fn open(url: &str, prefix: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::default() }).unwrap()
}

async fn next(watch: &mut Box<dyn Watcher>) -> StoreEvent {
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("an event in time")
}

async fn write(store: &RedisStore, key: StoreKey, lifetime: Duration) {
    let entry = Entry { value: Bytes::from_static(b"v"), lifetime, tag: None };
    let _ = store.put(key, entry, PutMode::Always).await.unwrap();
}

/// Checks the events of changes under the same prefix, and that no other changes are reported.
async fn check_events(url: &str) {
    let (watching, writing, other_prefix) = (open(url, "w:"), open(url, "w:"), open(url, "other:"));
    let mut watch = watching.watch().unwrap();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown, "the watcher is connected");
    let (one, two) = (StoreKey::digest(b"1"), StoreKey::digest(b"2"));
    write(&other_prefix, one, Duration::MAX).await;
    write(&writing, one, Duration::MAX).await;
    assert_eq!(next(&mut watch).await, StoreEvent::Key(one));
    writing.delete(one).await.unwrap();
    assert_eq!(next(&mut watch).await, StoreEvent::Key(one));
    write(&writing, two, Duration::from_millis(300)).await;
    assert_eq!(next(&mut watch).await, StoreEvent::Key(two));
    // Redis removes an expired value when it is read; one that is not read it finds sooner or later, and a server with
    // many values that expire later finds it after minutes.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(writing.get(two).await.unwrap().is_none());
    assert_eq!(next(&mut watch).await, StoreEvent::Key(two), "the value has expired");
}

#[tokio::test]
async fn changes_on_a_single_server_are_reported() {
    let Some(server) = shared(Kind::Redis) else { return };
    check_events(server.url()).await;
}

#[tokio::test]
async fn changes_on_a_master_behind_sentinel_are_reported() {
    let Some(server) = shared(Kind::RedisSentinel) else { return };
    check_events(server.url()).await;
}

#[tokio::test]
async fn a_cluster_cannot_be_watched() {
    let Some(server) = shared(Kind::RedisCluster) else { return };
    assert!(open(server.url(), "w:").watch().is_none());
}

#[tokio::test]
async fn a_lost_connection_is_reported_and_replaced() {
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
    // A hanging server counts as lost.
    server.node().pause();
    assert_eq!(next(&mut watch).await, StoreEvent::Lost);
    server.node().resume();
    assert_eq!(next(&mut watch).await, StoreEvent::Unknown);
}
