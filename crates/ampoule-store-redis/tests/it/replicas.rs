//! Writes that wait for replicas survive a failover, and block no other request.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::{Bytes, Entry, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey, Tag};
use ampoule_store_redis::redis_1::{self as redis, Client};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

use crate::lossy::LossyProxy;

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

/// Starts a master with a replica that can be paused.
fn master() -> Option<(Server, String)> {
    let server = Server::start(Kind::RedisSentinel)?;
    let url = format!("redis://127.0.0.1:{}", server.node().port);
    Some((server, url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_write_blocks_no_other_request() {
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
    // The server has executed all three writes, which now wait concurrently.
    let mut waiting = 0;
    while waiting < 3 {
        waiting = store.keys_with_tag(Tag::of("ada")).await.unwrap().len();
    }
    for _ in 0..50 {
        assert!(store.get(key("a")).await.unwrap().is_some());
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()), "the reads waited for the writes");
    tokio::task::block_in_place(|| server.nodes()[1].resume());
    for writer in writers {
        assert!(matches!(writer.await.unwrap().unwrap(), PutResult::Stored(_)), "the replica has received it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_waits_for_replicas() {
    let Some((server, url)) = master() else { return };
    let store = open(&url, 1, Duration::from_millis(600));
    let _ = store.put(key("a"), entry(None), PutMode::Create).await.unwrap();
    tokio::task::block_in_place(|| server.nodes()[1].pause());
    assert!(!store.delete(key("absent")).await.unwrap(), "a delete that removes nothing does not wait");
    assert_eq!(store.delete(key("a")).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// The write is answered, and the response to WAIT is lost with the connection. Both are sent again over a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_to_wait_makes_the_write_and_the_wait_be_sent_again() {
    let Some((server, url)) = master() else { return };
    let server = Arc::new(server);
    let proxy = LossyProxy::start(server.node().port, Arc::default());
    let through = format!("redis://127.0.0.1:{}", proxy.port);
    let (timeout, other) = (Duration::from_millis(1_200), open(&url, 0, Duration::from_secs(3)));
    for (name, tag) in [("plain", None), ("tagged", Some(Tag::of("eve")))] {
        let store = open(&through, 1, timeout);
        // From here on the server knows the scripts, and the connection is open.
        let _ = store.put(key("warm"), entry(tag), PutMode::Always).await.unwrap();
        proxy.lose_response(1, || {});
        assert!(matches!(store.put(key(name), entry(tag), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
        assert!(proxy.has_lost_response());
        let mark = Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let exists = redis::cmd("GETDEL").arg("ampoule:wait").query_async::<Option<String>>(&mut mark.clone()).await;
        assert_eq!(exists.unwrap().as_deref(), Some(""), "a write that changed nothing is followed by the marker");
        let (outside, lost) = (other.clone(), key(name));
        let runtime = tokio::runtime::Handle::current();
        proxy.lose_response(1, move || {
            let put = runtime.block_on(outside.put(lost, entry(None), PutMode::Always));
            assert!(matches!(put, Ok(PutResult::Stored(_))));
        });
        let error = store.put(lost, entry(tag), PutMode::Always).await.map(|put| put == PutResult::Conflict);
        assert!(matches!(error, Ok(false)), "an unconditional put is repeated: {error:?}");
        let found = store.get(lost).await.unwrap().unwrap();
        let outside = other.clone();
        let runtime = tokio::runtime::Handle::current();
        proxy.lose_response(1, move || {
            let put = runtime.block_on(outside.put(lost, entry(None), PutMode::Always));
            assert!(matches!(put, Ok(PutResult::Stored(_))));
        });
        let error = store.put(lost, entry(tag), PutMode::Replace(found.version)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "another client has replaced the value: {error}");
        let paused = Arc::clone(&server);
        proxy.lose_response(1, move || paused.nodes()[1].pause());
        let error = store.put(key("alone"), entry(tag), PutMode::Always).await.unwrap_err();
        assert!(error.report().contains("fewer than 1 replicas"), "the second WAIT is not confirmed: {error}");
        assert!(proxy.has_lost_response());
        tokio::task::block_in_place(|| server.nodes()[1].resume());
    }
    tokio::task::block_in_place(|| drop(server));
}

/// The master is killed during the workload, and Sentinel promotes the replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_no_write_that_the_replica_received() {
    let Some(server) = Server::start(Kind::RedisSentinel) else { return };
    let store = open(server.url(), 1, Duration::from_millis(500));
    let without_replicas = open(server.url(), 0, Duration::from_millis(500));
    let client = tokio::spawn(async move { run_workload(&store, 11, Duration::from_secs(3)).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::task::block_in_place(|| server.node().kill());
    let WorkloadReport { acknowledged, lost, revived, .. } = client.await.unwrap();
    assert!(
        acknowledged > 50 && lost == 0 && revived == 0,
        "{acknowledged} acknowledged, {lost} lost, {revived} revived"
    );
    assert!(matches!(without_replicas.put(key("after"), entry(None), PutMode::Create).await, Ok(PutResult::Stored(_))));
}
