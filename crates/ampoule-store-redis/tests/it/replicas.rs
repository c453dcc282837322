//! Writes that wait for replicas: what they vouch for, and what they do not hold up.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::{Bytes, Entry, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey, Tag};
use ampoule_store_redis::redis_1::{self as redis, Client};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

use crate::lossy::Lossy;

fn open(url: &str, replicas: usize, command_timeout: Duration) -> RedisStore {
    let pool = PoolOptions { command_timeout, ..PoolOptions::default() };
    let options = RedisOptions { replicas, pool, ..RedisOptions::default() };
    RedisStore::connect(url, options).unwrap()
}

fn entry(tag: Option<Tag>) -> Entry {
    Entry { value: Bytes::from("x"), lifetime: Duration::from_secs(3_600), tag }
}

fn key(name: &str) -> StoreKey {
    StoreKey::digest(name.as_bytes())
}

/// A single server whose replica can be paused.
fn master() -> Option<(Server, String)> {
    let server = Server::start(Kind::RedisSentinel)?;
    let url = format!("redis://127.0.0.1:{}", server.node().port);
    Some((server, url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_waits_holds_up_no_other_request() {
    let Some((server, url)) = master() else { return };
    let store = open(&url, 1, Duration::from_secs(8));
    assert!(matches!(store.put(key("a"), entry(None), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
    tokio::task::block_in_place(|| server.nodes()[1].pause());
    let writers: Vec<_> = ["b", "c", "d"]
        .map(|name| {
            let store = store.clone();
            tokio::spawn(async move { store.put(key(name), entry(Some(Tag::of("ada"))), PutMode::Create).await })
        })
        .into();
    // They are done at the server, side by side, and wait.
    let mut waiting = 0;
    while waiting < 3 {
        waiting = store.keys_with_tag(Tag::of("ada")).await.unwrap().len();
    }
    for _ in 0..50 {
        assert!(store.get(key("a")).await.unwrap().is_some());
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()), "the reads had to wait for them");
    tokio::task::block_in_place(|| server.nodes()[1].resume());
    for writer in writers {
        assert!(matches!(writer.await.unwrap().unwrap(), PutResult::Stored(_)), "the replica has it now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_waits_too() {
    let Some((server, url)) = master() else { return };
    let store = open(&url, 1, Duration::from_millis(600));
    let _ = store.put(key("a"), entry(None), PutMode::Create).await.unwrap();
    tokio::task::block_in_place(|| server.nodes()[1].pause());
    assert!(!store.delete(key("absent")).await.unwrap(), "there is nothing to wait for");
    assert_eq!(store.delete(key("a")).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// The write is answered, and the answer to WAIT is lost with its connection. Over the new one both are sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_lost_is_sent_again_after_its_write() {
    let Some((server, url)) = master() else { return };
    let server = Arc::new(server);
    let proxy = Lossy::to(server.node().port, Arc::default());
    let through = format!("redis://127.0.0.1:{}", proxy.port);
    let (patience, other) = (Duration::from_millis(1_200), open(&url, 0, Duration::from_secs(3)));
    for (name, tag) in [("plain", None), ("tagged", Some(Tag::of("eve")))] {
        let store = open(&through, 1, patience);
        // The scripts are known, and the connection is there.
        let _ = store.put(key("warm"), entry(tag), PutMode::Always).await.unwrap();
        proxy.lose_a_reply(1, || {});
        assert!(matches!(store.put(key(name), entry(tag), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
        assert!(proxy.has_lost_it());
        let mark = Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let exists = redis::cmd("GETDEL").arg("ampoule:wait").query_async::<Option<String>>(&mut mark.clone()).await;
        assert_eq!(exists.unwrap().as_deref(), Some(""), "what changed nothing has a write after it to wait for");
        let (outside, lost) = (other.clone(), key(name));
        let runtime = tokio::runtime::Handle::current();
        proxy.lose_a_reply(1, move || {
            let put = runtime.block_on(outside.put(lost, entry(None), PutMode::Always));
            assert!(matches!(put, Ok(PutResult::Stored(_))));
        });
        let error = store.put(lost, entry(tag), PutMode::Always).await.map(|put| put == PutResult::Conflict);
        assert!(matches!(error, Ok(false)), "an unconditional put is done again: {error:?}");
        let found = store.get(lost).await.unwrap().unwrap();
        let outside = other.clone();
        let runtime = tokio::runtime::Handle::current();
        proxy.lose_a_reply(1, move || {
            let put = runtime.block_on(outside.put(lost, entry(None), PutMode::Always));
            assert!(matches!(put, Ok(PutResult::Stored(_))));
        });
        let error = store.put(lost, entry(tag), PutMode::Replace(found.version)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "another has replaced it: {error}");
        let paused = Arc::clone(&server);
        proxy.lose_a_reply(1, move || paused.nodes()[1].pause());
        let error = store.put(key("alone"), entry(tag), PutMode::Always).await.unwrap_err();
        assert!(error.report().contains("fewer than 1 replicas"), "the second WAIT vouches for nothing: {error}");
        assert!(proxy.has_lost_it());
        tokio::task::block_in_place(|| server.nodes()[1].resume());
    }
    tokio::task::block_in_place(|| drop(server));
}

/// The master dies in the middle, and Sentinel promotes the replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_nothing_that_waited_for_the_replica() {
    let Some(server) = Server::start(Kind::RedisSentinel) else { return };
    let store = open(server.url(), 1, Duration::from_millis(500));
    let none = open(server.url(), 0, Duration::from_millis(500));
    let client = tokio::spawn(async move { run_workload(&store, 11, Duration::from_secs(3)).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::task::block_in_place(|| server.node().kill());
    let WorkloadReport { acknowledged, lost, revived, .. } = client.await.unwrap();
    assert!(
        acknowledged > 50 && lost == 0 && revived == 0,
        "{acknowledged} acknowledged, {lost} lost, {revived} revived"
    );
    assert!(matches!(none.put(key("after"), entry(None), PutMode::Create).await, Ok(PutResult::Stored(_))));
}
