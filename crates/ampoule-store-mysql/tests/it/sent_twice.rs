//! Writes whose answer is lost: the store sends them again, and returns their outcome, or that it is unknown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey, Version};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Kind, shared};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A proxy between a store and its server, which loses one answer on demand.
struct LossyProxy {
    port: u16,
    trap: Arc<Mutex<Option<Trap>>>,
}

struct Trap {
    caught: oneshot::Sender<()>,
    resume: oneshot::Receiver<()>,
}

impl LossyProxy {
    async fn to(server: u16) -> LossyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = LossyProxy { port: listener.local_addr().unwrap().port(), trap: Arc::default() };
        let trap = Arc::clone(&proxy.trap);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&trap)));
            }
        });
        proxy
    }

    /// Loses the answer to this write. Runs `meanwhile` after the server has executed the write, and before the store
    /// notices the loss and sends it again.
    async fn lose_answer<T>(&self, write: impl Future<Output = T>, meanwhile: impl Future<Output = ()>) -> T {
        let (caught, was_caught) = oneshot::channel();
        let (resumer, resume) = oneshot::channel();
        *self.trap.lock().unwrap() = Some(Trap { caught, resume });
        let meanwhile = async {
            was_caught.await.unwrap();
            meanwhile.await;
            resumer.send(()).unwrap();
        };
        tokio::join!(write, meanwhile).0
    }
}

/// Forwards the bytes of one connection in both directions, until an answer is caught.
async fn forward(mut client: TcpStream, mut server: TcpStream, trap: Arc<Mutex<Option<Trap>>>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(size @ 1..) = from_server.read(&mut buffer).await {
            let trap = trap.lock().unwrap().take();
            if let Some(Trap { caught, resume }) = trap {
                caught.send(()).unwrap();
                resume.await.unwrap();
                return;
            }
            if to_client.write_all(&buffer[..size]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
    }
}

/// A store behind the proxy, another one beside it, and a key of this case.
struct Case {
    proxy: LossyProxy,
    url: String,
    store: MySqlStore,
    other: MySqlStore,
    key: StoreKey,
}

fn options() -> MySqlOptions {
    let pool = PoolOptions { max_connections: 1, ..PoolOptions::default() };
    MySqlOptions { table: "sent_twice".to_owned(), pool, ..MySqlOptions::default() }
}

fn entry(value: &'static str) -> Entry {
    Entry { value: Bytes::from(value), lifetime: Duration::from_secs(3_600), tag: None }
}

const ENDED: fn() -> Entry = || Entry { lifetime: Duration::ZERO, ..entry("") };

fn stored(result: Result<PutResult, Error>) -> Version {
    match result.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("unexpected conflict"),
    }
}

impl Case {
    /// Prepares every statement whose answer will be lost on the store's only connection, so that each takes one round
    /// trip.
    async fn new(name: &str) -> Option<Case> {
        let server = shared(Kind::MariaDb)?;
        let proxy = LossyProxy::to(server.node().port).await;
        let url = server.url().replace(&format!(":{}/", server.node().port), &format!(":{}/", proxy.port));
        let store = MySqlStore::connect(&url, options()).unwrap();
        let other = MySqlStore::connect(server.url(), options()).unwrap();
        let key = StoreKey::digest(name.as_bytes());
        let first = stored(store.put(key, entry("first"), PutMode::Create).await);
        assert!(store.touch(key, first, Duration::from_secs(9_000)).await.unwrap());
        let second = stored(store.put(key, entry("second"), PutMode::Replace(first)).await);
        stored(store.put(key, ENDED(), PutMode::Replace(second)).await);
        Some(Case { proxy, url, store, other, key })
    }

    /// Replaces the value by the other store.
    async fn replace(&self, expected: &str) {
        let found = self.other.get(self.key).await.unwrap().unwrap();
        assert_eq!(found.value, expected, "the write whose answer is lost was executed");
        stored(self.other.put(self.key, entry("other"), PutMode::Replace(found.version)).await);
    }

    async fn value(&self) -> Option<Bytes> {
        self.other.get(self.key).await.unwrap().map(|stored| stored.value)
    }
}

/// Asserts that the outcome of a write is unknown.
fn assert_unknown<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.expect_err("the outcome is unknown");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_finds_its_own_version_succeeds() {
    let Some(case) = Case::new("own version").await else { return };
    let Case { proxy, store, key, .. } = &case;
    let created = stored(proxy.lose_answer(store.put(*key, entry("a"), PutMode::Create), async {}).await);
    assert_eq!(store.get(*key).await.unwrap().unwrap().version, created);
    let replaced = store.put(*key, entry("b"), PutMode::Replace(created));
    let replaced = stored(proxy.lose_answer(replaced, async {}).await);
    let found = store.get(*key).await.unwrap().unwrap();
    assert_eq!((&found.value[..], found.version), (&b"b"[..], replaced));
    let touch = store.touch(*key, replaced, Duration::from_secs(9_000));
    assert!(proxy.lose_answer(touch, async {}).await.unwrap(), "a touch that finds its version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_finds_another_version_is_unknown() {
    let Some(case) = Case::new("create").await else { return };
    let create = case.store.put(case.key, entry("mine"), PutMode::Create);
    assert_unknown(case.proxy.lose_answer(create, case.replace("mine")).await);
    assert_eq!(case.value().await.as_deref(), Some(&b"other"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_finds_another_version_is_unknown() {
    let Some(case) = Case::new("replace").await else { return };
    let version = stored(case.store.put(case.key, entry("x"), PutMode::Create).await);
    let replace = case.store.put(case.key, entry("mine"), PutMode::Replace(version));
    assert_unknown(case.proxy.lose_answer(replace, case.replace("mine")).await);
    assert_eq!(case.value().await.as_deref(), Some(&b"other"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_finds_nothing_is_unknown() {
    let Some(case) = Case::new("replace and delete").await else { return };
    let version = stored(case.store.put(case.key, entry("x"), PutMode::Create).await);
    let replace = case.store.put(case.key, entry("mine"), PutMode::Replace(version));
    let delete = async { assert!(case.other.delete(case.key).await.unwrap()) };
    assert_unknown(case.proxy.lose_answer(replace, delete).await);
    assert_eq!(case.value().await, None, "the deleted row came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_that_finds_another_version_is_unknown() {
    let Some(case) = Case::new("touch").await else { return };
    let version = stored(case.store.put(case.key, entry("x"), PutMode::Create).await);
    let touch = case.store.touch(case.key, version, Duration::from_secs(9_000));
    assert_unknown(case.proxy.lose_answer(touch, case.replace("x")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_of_one_version_that_finds_nothing_is_unknown() {
    let Some(case) = Case::new("removal").await else { return };
    let version = stored(case.store.put(case.key, entry("x"), PutMode::Create).await);
    let remove = case.store.put(case.key, ENDED(), PutMode::Replace(version));
    assert_unknown(case.proxy.lose_answer(remove, async {}).await);
    assert_eq!(case.value().await, None);
}

/// The lost answer is the server's handshake: no statement was sent yet, so the second connection's outcome is certain.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_leaves_no_outcome_unknown() {
    let Some(case) = Case::new("handshake").await else { return };
    stored(case.store.put(case.key, entry("x"), PutMode::Create).await);
    let fresh = MySqlStore::connect(&case.url, options()).unwrap();
    let create = fresh.put(case.key, entry("mine"), PutMode::Create);
    assert_eq!(case.proxy.lose_answer(create, async {}).await.unwrap(), PutResult::Conflict);
}
