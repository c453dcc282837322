//! A write whose connection breaks before its answer comes is sent again: it is done once, or nothing is claimed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, ErrorKind, PutMode, PutResult, Store, StoreKey, Tag, Version};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

use crate::lossy::{Loss, Lossy};

/// What happens between the two sendings.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Between {
    Nothing,
    /// As when a replica takes over that has never been asked to run a script.
    ScriptsAreLost,
    AnotherWrites,
    AnotherDeletes,
    ScriptsAreLostAndAnotherWrites,
}

use Between::{AnotherDeletes, AnotherWrites, Nothing, ScriptsAreLost, ScriptsAreLostAndAnotherWrites};

struct Scene {
    /// Through the proxy.
    store: RedisStore,
    /// Not through it.
    other: RedisStore,
    proxy: Lossy,
    ports: Vec<u16>,
    /// For what happens between.
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Scene {
    /// Loses the reply to what follows, in which the key is changed.
    async fn lose_a_reply(&self, key: StoreKey, between: Between) {
        self.lose_a_reply_after(0, key, between).await;
    }

    /// Of a put. In a Cluster its tag is written by a command of its own, before.
    async fn lose_the_reply_to_a_put(&self, tagged: bool, key: StoreKey, between: Between) {
        self.lose_a_reply_after(u32::from(tagged && self.ports.len() > 1), key, between).await;
    }

    /// Has every server know the scripts, so that the reply which is lost is to a command that was carried out. These
    /// keys lie on all nodes of the Cluster.
    async fn teach(&self) {
        for number in 0..12_u8 {
            let key = StoreKey::digest(&[number]);
            let put = self.other.put(key, entry(Some(Tag::of("ada"))), PutMode::Always).await.unwrap();
            let PutResult::Stored(version) = put else { panic!("it is unconditional") };
            assert!(self.other.touch(key, version, Duration::from_secs(7_200)).await.unwrap());
        }
    }

    async fn lose_a_reply_after(&self, after: u32, key: StoreKey, between: Between) {
        self.teach().await;
        let (other, ports, runtime) = (self.other.clone(), self.ports.clone(), Arc::clone(&self.runtime));
        self.proxy.lose_a_reply(after, move || {
            if [ScriptsAreLost, ScriptsAreLostAndAnotherWrites].contains(&between) {
                for port in ports {
                    assert!(talk(port, b"SCRIPT FLUSH\r\n").starts_with("+OK"));
                }
            }
            runtime.block_on(async {
                match between {
                    Nothing | ScriptsAreLost => {}
                    AnotherWrites | ScriptsAreLostAndAnotherWrites => {
                        assert!(matches!(other.put(key, entry(None), PutMode::Always).await, Ok(PutResult::Stored(_))));
                    }
                    AnotherDeletes => assert!(other.delete(key).await.unwrap()),
                }
            });
        });
    }
}

fn talk(port: u16, command: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(command).unwrap();
    let mut buffer = [0; 4_096];
    let size = stream.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..size]).into_owned()
}

fn entry(tag: Option<Tag>) -> Entry {
    Entry { value: Bytes::from_static(b"value"), lifetime: Duration::from_secs(3_600), tag }
}

fn no_entry() -> Entry {
    Entry { lifetime: Duration::ZERO, ..entry(None) }
}

async fn create(store: &RedisStore, key: StoreKey, tag: Option<Tag>) -> Version {
    match store.put(key, entry(tag), PutMode::Create).await.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("the key was there"),
    }
}

fn said<T>(answer: Result<T, Error>, says: impl FnOnce(T) -> &'static str) -> &'static str {
    match answer {
        Ok(answer) => says(answer),
        Err(error) if error.kind() == ErrorKind::Timeout => "unknown",
        Err(error) => panic!("{error:?}"),
    }
}

fn result(result: PutResult) -> &'static str {
    match result {
        PutResult::Stored(_) => "stored",
        PutResult::Conflict => "conflict",
    }
}

async fn every_write_is_done_once_or_unknown(scene: &Scene) {
    let tag = Some(Tag::of("ada"));
    let between = [Nothing, ScriptsAreLost, AnotherWrites, AnotherDeletes, ScriptsAreLostAndAnotherWrites];
    for (number, between) in between.into_iter().enumerate() {
        let alone = [Nothing, ScriptsAreLost].contains(&between);
        let done = |what| if alone { what } else { "unknown" };
        let key = |name: &str| StoreKey::digest(format!("{name} {number}").as_bytes());
        let store = &scene.store;
        for (name, tag) in [("replaced", None), ("replaced, tagged", tag)] {
            let key = key(name);
            let version = create(store, key, tag).await;
            scene.lose_the_reply_to_a_put(tag.is_some(), key, between).await;
            let answer = store.put(key, entry(tag), PutMode::Replace(version)).await;
            assert_eq!(said(answer, result), done("stored"), "{name}, {between:?}");
            let key = StoreKey::digest(format!("conflict {name} {number}").as_bytes());
            let version = create(store, key, tag).await;
            scene.lose_the_reply_to_a_put(tag.is_some(), key, between).await;
            let answer = store.put(key, entry(tag), PutMode::Replace(Version(version.0 ^ 1))).await;
            assert_eq!(said(answer, result), "unknown", "another version of {name}, {between:?}");
        }
        for (name, tag) in [("created", None), ("created, tagged", tag)] {
            let key = key(name);
            scene.lose_the_reply_to_a_put(tag.is_some(), key, between).await;
            let answer = store.put(key, entry(tag), PutMode::Create).await;
            // Where another has deleted it there is nothing again, as a create expects.
            let expected = if between == AnotherDeletes { "stored" } else { done("stored") };
            assert_eq!(said(answer, result), expected, "{name}, {between:?}");
        }
        let removed = key("removed");
        let version = create(store, removed, None).await;
        scene.lose_a_reply(removed, between).await;
        let answer = store.put(removed, no_entry(), PutMode::Replace(version)).await;
        assert_eq!(said(answer, result), "unknown", "a removed version leaves no trace, {between:?}");
        for (name, tag) in [("touched", None), ("touched, tagged", tag)] {
            let key = key(name);
            let version = create(store, key, tag).await;
            scene.lose_a_reply(key, between).await;
            let answer = store.touch(key, version, Duration::from_secs(7_200)).await;
            assert_eq!(said(answer, |touched| if touched { "touched" } else { "refused" }), done("touched"), "{name}");
        }
        assert!(scene.proxy.has_lost_it());
    }
    let absent = StoreKey::digest(b"absent");
    scene.lose_a_reply(absent, Nothing).await;
    assert!(!scene.store.delete(absent).await.unwrap(), "a delete expects nothing");
    scene.lose_a_reply(absent, Nothing).await;
    assert_eq!(scene.store.get(absent).await.unwrap(), None, "a read is sent again");
}

fn open(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions { prefix: "resent:".to_owned(), ..RedisOptions::default() }).unwrap()
}

fn scene(server: &Server, url: &str, proxy: Lossy) -> Scene {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ports = server.nodes().iter().map(|node| node.port).collect();
    Scene { store: open(url), other: open(server.url()), proxy, ports, runtime: Arc::new(runtime) }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_server() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let proxy = Lossy::to(server.node().port, Arc::default());
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let scene = scene(&server, &url, proxy);
    every_write_is_done_once_or_unknown(&scene).await;
    tokio::task::block_in_place(|| drop(scene));
}

/// Its driver sends again what was lost with a connection, without saying so; but not these.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster() {
    let Some(server) = Server::start(Kind::RedisCluster) else { return };
    let direct = open(server.url());
    // What does not go through the proxies is found before the nodes announce them.
    assert_eq!(direct.get(StoreKey::digest(b"absent")).await.unwrap(), None);
    let armed: Arc<Mutex<Loss>> = Arc::default();
    let proxies: Vec<_> = server.nodes().iter().map(|node| Lossy::to(node.port, Arc::clone(&armed))).collect();
    for (node, proxy) in server.nodes().iter().zip(&proxies) {
        let announce = format!("CONFIG SET cluster-announce-port {}\r\n", proxy.port);
        assert!(talk(node.port, announce.as_bytes()).starts_with("+OK"));
    }
    let announced = || {
        let slots = talk(server.node().port, b"CLUSTER SLOTS\r\n");
        proxies.iter().all(|proxy| slots.contains(&format!(":{}\r\n", proxy.port)))
    };
    for _ in 0..200 {
        if announced() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(announced(), "the nodes do not know each other's proxies");
    let url = format!("redis+cluster://127.0.0.1:{}", proxies[0].port);
    let scene = Scene { other: direct, ..scene(&server, &url, Lossy { port: proxies[0].port, armed }) };
    every_write_is_done_once_or_unknown(&scene).await;
    tokio::task::block_in_place(|| drop(scene));
}
