//! The store warns about a server that evicts sessions, and restores an evicted set of a tag.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{Bytes, Entry, PutMode, PutResult, Store, StoreKey, Tag};
use ampoule_store_redis::redis_1 as redis;
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Collects the log of this thread at this level and above.
fn log(level: tracing_subscriber::filter::LevelFilter) -> (Log, impl Drop) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

async fn send(server: &Server, line: &str) {
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>()).query_async::<redis::Value>(&mut connection).await.unwrap();
}

fn entry(tag: Option<Tag>) -> Entry {
    Entry { value: Bytes::from("x"), lifetime: Duration::from_secs(600), tag }
}

#[tokio::test]
async fn an_evicting_policy_causes_one_warning() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    send(&server, "CONFIG SET maxmemory 100mb").await;
    let (log, _guard) = log(tracing_subscriber::filter::LevelFilter::WARN);
    let store = RedisStore::connect(server.url(), RedisOptions::default()).unwrap();
    store.ping().await.unwrap();
    assert!(log.text().is_empty(), "{}", log.text());
    for policy in ["allkeys-lru", "volatile-ttl"] {
        send(&server, &format!("CONFIG SET maxmemory-policy {policy}")).await;
        let store = RedisStore::connect(server.url(), RedisOptions::default()).unwrap();
        for name in [b"a", b"b"] {
            let _ = store.put(StoreKey::digest(name), entry(None), PutMode::Always).await.unwrap();
        }
        store.ping().await.unwrap();
        assert_eq!(log.text().matches(&format!("maxmemory-policy {policy}")).count(), 1, "{}", log.text());
        send(&server, "CONFIG SET maxmemory-policy noeviction").await;
        store.ping().await.unwrap();
    }
    assert_eq!(log.text().lines().count(), 2, "{}", log.text());
}

#[tokio::test]
async fn an_unreadable_policy_causes_no_warning() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    send(&server, "CONFIG SET maxmemory 100mb").await;
    send(&server, "CONFIG SET maxmemory-policy allkeys-lru").await;
    send(&server, "ACL SETUSER app on >p ~* +@all -info -config").await;
    let (log, _guard) = log(tracing_subscriber::filter::LevelFilter::DEBUG);
    let url = format!("redis://app:p@127.0.0.1:{}", server.node().port);
    let store = RedisStore::connect(&url, RedisOptions::default()).unwrap();
    store.ping().await.unwrap();
    assert!(!log.text().contains("WARN") && log.text().contains("could not be read"), "{}", log.text());
}

/// Redis has evicted the set of a user, but not the user's sessions.
#[tokio::test]
async fn a_write_and_a_touch_restore_an_evicted_tag() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let store = RedisStore::connect(server.url(), RedisOptions::default()).unwrap();
    let (tag, [written, touched]) = (Tag::of("ada"), [b"written", b"touched"].map(|name| StoreKey::digest(name)));
    let mut versions = Vec::new();
    for key in [written, touched] {
        let put = store.put(key, entry(Some(tag)), PutMode::Create).await.unwrap();
        let PutResult::Stored(version) = put else { panic!("the key existed") };
        versions.push(version);
    }
    send(&server, &format!("DEL ampoule:tag:{tag}")).await;
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), []);
    let _ = store.put(written, entry(Some(tag)), PutMode::Replace(versions[0])).await.unwrap();
    assert!(store.touch(touched, versions[1], Duration::from_secs(3_600)).await.unwrap());
    assert_eq!(store.keys_with_tag(tag).await.unwrap().len(), 2);
}
