//! Sends any bytes to the memcached store as a server's responses: the store returns values or errors, but does not
//! panic and does not hang.
//!
//! The first byte of the input is how many parts of a valid handshake precede the rest of the input.
#![no_main]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, PoolOptions, PutMode, Store, StoreKey, Tag};
use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

static SOCKET: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("ampoule-fuzz-{}.sock", std::process::id())));

thread_local! {
    static LISTENER: RefCell<Option<UnixListener>> = const { RefCell::new(None) };
}

const HANDSHAKE: [&[u8]; 4] = [
    b"VERSION 1.6.18\r\n",
    b"STAT item_size_max 4096\r\nSTAT cas_enabled yes\r\nEND\r\n",
    b"STAT time 1795700000\r\nEND\r\n",
    b"VA 8 c1 t-1\r\n\0\0\0\0\0\0\0\x07\r\n",
];

/// Sends these bytes to every client that connects, and discards what it sends.
async fn serve(listener: &UnixListener, responses: &[u8]) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.write_all(responses).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// Waits for an operation up to a limit, since the store repeats it while the server is busy, or while each attempt of
/// a write loses a conflict.
async fn with_timeout<T>(operation: impl Future<Output = Result<T, Error>>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(100), operation).await.ok()?.ok()
}

async fn use_every_operation(store: &MemcachedStore) {
    let (key, tag) = (StoreKey::digest(b"key"), Tag::of("ada"));
    let entry = |tag| Entry { value: Bytes::from_static(b"value"), lifetime: Duration::from_secs(60), tag };
    if let Some(Some(found)) = with_timeout(store.get(key)).await {
        with_timeout(store.touch(key, found.version, Duration::from_secs(4_000_000))).await;
        with_timeout(store.put(key, entry(Some(tag)), PutMode::Replace(found.version))).await;
    }
    with_timeout(store.put(key, entry(None), PutMode::Create)).await;
    with_timeout(store.keys_with_tag(tag)).await;
    with_timeout(store.delete(key)).await;
    with_timeout(store.scan(None, 10)).await;
    with_timeout(store.ping()).await;
}

fuzz_target!(|data: &[u8]| {
    let Some((part_count, rest)) = data.split_first() else { return };
    let handshake = HANDSHAKE[..usize::from(*part_count) % (HANDSHAKE.len() + 1)].concat();
    let responses = [&handshake[..], rest].concat();
    let limit = Duration::from_millis(100);
    let pool = PoolOptions { connect_timeout: limit, command_timeout: limit, ..PoolOptions::default() };
    let options = MemcachedOptions { pool, ..MemcachedOptions::default() };
    let store = MemcachedStore::connect(&format!("memcached+unix://{}", SOCKET.display()), options).unwrap();
    LISTENER.with_borrow_mut(|listener| {
        RUNTIME.block_on(async {
            let listener = listener.get_or_insert_with(|| {
                let _ = std::fs::remove_file(&*SOCKET);
                UnixListener::bind(&*SOCKET).unwrap()
            });
            tokio::select! {
                () = serve(listener, &responses) => {}
                () = use_every_operation(&store) => {}
                () = tokio::time::sleep(Duration::from_secs(8)) => panic!("the store hangs"),
            }
        });
    });
});
