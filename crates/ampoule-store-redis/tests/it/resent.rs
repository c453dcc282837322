//! A write whose connection breaks before the response arrives is sent again: it is done once, or its outcome is
//! unknown.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, ErrorKind, PutMode, PutResult, Store, StoreKey, Tag, Version};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Kind, Server};

use crate::lossy::{Loss, LossyProxy};

/// An event between the two attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Between {
    Nothing,
    /// As when a replica takes over that has never run a script.
    ScriptsLost,
    AnotherWrites,
    AnotherDeletes,
    ScriptsLostAndAnotherWrites,
}

use Between::{AnotherDeletes, AnotherWrites, Nothing, ScriptsLost, ScriptsLostAndAnotherWrites};

struct Fixture {
    /// Connects through the proxy.
    store: RedisStore,
    /// Connects directly.
    other: RedisStore,
    proxy: LossyProxy,
    ports: Vec<u16>,
    /// Runs the events between the attempts.
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Fixture {
    /// Loses the response to the next command, which writes this key.
    async fn lose_response(&self, key: StoreKey, between: Between) {
        self.lose_response_after(0, key, between).await;
    }

    /// Loses the response to a put. In a Cluster a separate command writes the tag first.
    async fn lose_response_to_put(&self, tagged: bool, key: StoreKey, between: Between) {
        self.lose_response_after(u32::from(tagged && self.ports.len() > 1), key, between).await;
    }

    /// Loads the scripts on every server, so that the lost response is that of an executed command. The keys are
    /// distributed over all nodes of a Cluster.
    async fn load_scripts(&self) {
        for number in 0..12_u8 {
            let key = StoreKey::digest(&[number]);
            let put = self.other.put(key, entry(Some(Tag::of("ada"))), PutMode::Always).await.unwrap();
            let PutResult::Stored(version) = put else { panic!("the put is unconditional") };
            assert!(self.other.touch(key, version, Duration::from_secs(7_200)).await.unwrap());
        }
    }

    async fn lose_response_after(&self, after: u32, key: StoreKey, between: Between) {
        self.load_scripts().await;
        let (other, ports, runtime) = (self.other.clone(), self.ports.clone(), Arc::clone(&self.runtime));
        self.proxy.lose_response(after, move || {
            if [ScriptsLost, ScriptsLostAndAnotherWrites].contains(&between) {
                for port in ports {
                    assert!(talk(port, b"SCRIPT FLUSH\r\n").starts_with("+OK"));
                }
            }
            runtime.block_on(async {
                match between {
                    Nothing | ScriptsLost => {}
                    AnotherWrites | ScriptsLostAndAnotherWrites => {
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
        PutResult::Conflict => panic!("the key existed"),
    }
}

fn outcome<T>(result: Result<T, Error>, describe: impl FnOnce(T) -> &'static str) -> &'static str {
    match result {
        Ok(result) => describe(result),
        Err(error) if error.kind() == ErrorKind::Timeout => "unknown",
        Err(error) => panic!("{error:?}"),
    }
}

fn describe(result: PutResult) -> &'static str {
    match result {
        PutResult::Stored(_) => "stored",
        PutResult::Conflict => "conflict",
    }
}

async fn check_resent_writes(fixture: &Fixture) {
    let tag = Some(Tag::of("ada"));
    let between = [Nothing, ScriptsLost, AnotherWrites, AnotherDeletes, ScriptsLostAndAnotherWrites];
    for (number, between) in between.into_iter().enumerate() {
        let is_only_writer = [Nothing, ScriptsLost].contains(&between);
        let done = |what| if is_only_writer { what } else { "unknown" };
        let key = |name: &str| StoreKey::digest(format!("{name} {number}").as_bytes());
        let store = &fixture.store;
        for (name, tag) in [("replaced", None), ("replaced, tagged", tag)] {
            let key = key(name);
            let version = create(store, key, tag).await;
            fixture.lose_response_to_put(tag.is_some(), key, between).await;
            let result = store.put(key, entry(tag), PutMode::Replace(version)).await;
            assert_eq!(outcome(result, describe), done("stored"), "{name}, {between:?}");
            let key = StoreKey::digest(format!("conflict {name} {number}").as_bytes());
            let version = create(store, key, tag).await;
            fixture.lose_response_to_put(tag.is_some(), key, between).await;
            let result = store.put(key, entry(tag), PutMode::Replace(Version(version.0 ^ 1))).await;
            assert_eq!(outcome(result, describe), "unknown", "another version of {name}, {between:?}");
        }
        for (name, tag) in [("created", None), ("created, tagged", tag)] {
            let key = key(name);
            fixture.lose_response_to_put(tag.is_some(), key, between).await;
            let result = store.put(key, entry(tag), PutMode::Create).await;
            // If another client has deleted the key, it is absent again, as a create expects.
            let expected = if between == AnotherDeletes { "stored" } else { done("stored") };
            assert_eq!(outcome(result, describe), expected, "{name}, {between:?}");
        }
        let removed = key("removed");
        let version = create(store, removed, None).await;
        fixture.lose_response(removed, between).await;
        let result = store.put(removed, no_entry(), PutMode::Replace(version)).await;
        assert_eq!(outcome(result, describe), "unknown", "a removed version is not found, {between:?}");
        for (name, tag) in [("touched", None), ("touched, tagged", tag)] {
            let key = key(name);
            let version = create(store, key, tag).await;
            fixture.lose_response(key, between).await;
            let result = store.touch(key, version, Duration::from_secs(7_200)).await;
            assert_eq!(
                outcome(result, |touched| if touched { "touched" } else { "refused" }),
                done("touched"),
                "{name}"
            );
        }
        assert!(fixture.proxy.has_lost_response());
    }
    let absent = StoreKey::digest(b"absent");
    fixture.lose_response(absent, Nothing).await;
    assert!(!fixture.store.delete(absent).await.unwrap(), "a delete has no condition");
    fixture.lose_response(absent, Nothing).await;
    assert_eq!(fixture.store.get(absent).await.unwrap(), None, "a read is sent again");
}

fn open(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions { prefix: "resent:".to_owned(), ..RedisOptions::default() }).unwrap()
}

fn fixture(server: &Server, url: &str, proxy: LossyProxy) -> Fixture {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ports = server.nodes().iter().map(|node| node.port).collect();
    Fixture { store: open(url), other: open(server.url()), proxy, ports, runtime: Arc::new(runtime) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_write_to_one_server_is_done_once_or_unknown() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let proxy = LossyProxy::start(server.node().port, Arc::default());
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let fixture = fixture(&server, &url, proxy);
    check_resent_writes(&fixture).await;
    tokio::task::block_in_place(|| drop(fixture));
}

/// The driver of a Cluster resends commands without reporting it; it must not resend these.
#[tokio::test(flavor = "multi_thread")]
async fn a_resent_write_to_a_cluster_is_done_once_or_unknown() {
    let Some(server) = Server::start(Kind::RedisCluster) else { return };
    let direct = open(server.url());
    // The direct store connects before the nodes announce the proxies.
    assert_eq!(direct.get(StoreKey::digest(b"absent")).await.unwrap(), None);
    let armed: Arc<Mutex<Loss>> = Arc::default();
    let proxies: Vec<_> = server.nodes().iter().map(|node| LossyProxy::start(node.port, Arc::clone(&armed))).collect();
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
    assert!(announced(), "a node does not announce all proxies");
    let url = format!("redis+cluster://127.0.0.1:{}", proxies[0].port);
    let fixture = Fixture { other: direct, ..fixture(&server, &url, LossyProxy { port: proxies[0].port, armed }) };
    check_resent_writes(&fixture).await;
    tokio::task::block_in_place(|| drop(fixture));
}
