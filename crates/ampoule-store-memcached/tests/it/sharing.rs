//! Several stores on one server, as several processes have them, and items that this store did not write.

use std::time::Duration;

use crate::support::{CustomServer, HOUR, create, entry, key, quick, store, talk, value};
use ampoule_core::{Bytes, Entry, ErrorKind, PutMode, PutResult, Store, Tag};
use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
use ampoule_test_servers::{Kind, shared};

fn number(value: &Bytes) -> u32 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p1_stores_that_count_on_one_key_lose_nothing() {
    let Some(server) = shared(Kind::Memcached) else { return };
    create(&store(server.url(), "count:"), key("n"), entry("0")).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store(server.url(), "count:");
        writers.spawn(async move {
            let mut counted = 0;
            while counted < 50 {
                let found = store.get(key("n")).await.unwrap().unwrap();
                let next = entry((number(&found.value) + 1).to_string());
                match store.put(key("n"), next, PutMode::Replace(found.version)).await.unwrap() {
                    PutResult::Stored(_) => counted += 1,
                    // A touch between a read and a write, which must not look like a write.
                    PutResult::Conflict if writer % 2 == 0 => {
                        let found = store.get(key("n")).await.unwrap().unwrap();
                        store.touch(key("n"), found.version, 2 * HOUR).await.unwrap();
                    }
                    PutResult::Conflict => {}
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(value(&store(server.url(), "count:"), key("n")).await.as_deref(), Some(&b"400"[..]));
}

/// A touch changes memcached's token, but not the version.
#[tokio::test(flavor = "multi_thread")]
async fn a_touch_of_another_store_causes_no_conflict() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let (mine, other) = (store(server.url(), "touch:"), store(server.url(), "touch:"));
    let version = create(&mine, key("one"), entry("x")).await;
    let before = mine.get(key("one")).await.unwrap().unwrap();
    assert!(other.touch(key("one"), version, 2 * HOUR).await.unwrap());
    let found = mine.get(key("one")).await.unwrap().unwrap();
    assert_eq!(found.version, version);
    assert!(found.deadline.since(before.deadline) >= HOUR - Duration::from_secs(1));
    assert!(other.touch(key("one"), version, 3 * HOUR).await.unwrap());
    let put = mine.put(key("one"), entry("y"), PutMode::Replace(version)).await;
    let Ok(PutResult::Stored(next)) = put else { panic!("{put:?}") };
    assert!(!other.touch(key("one"), version, 4 * HOUR).await.unwrap(), "its version was replaced");
    assert!(other.touch(key("one"), next, 4 * HOUR).await.unwrap());
    assert!(mine.delete(key("one")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_applications_apart() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let (one, two) = (store(server.url(), "apart:"), store(server.url(), "apart:2:"));
    let tagged = Entry { tag: Some(Tag::of("user:42")), ..entry("x") };
    create(&one, key("one"), tagged).await;
    assert_eq!(value(&two, key("one")).await, None);
    assert_eq!(two.keys_with_tag(Tag::of("user:42")).await.unwrap(), []);
    assert_eq!(two.scan(None, 10).await.unwrap().keys, []);
    assert_eq!(one.scan(None, 10).await.unwrap().keys, [key("one")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_prefix_or_url_is_refused() {
    for prefix in ["with space:", "ünicode:", "line\n", &"x".repeat(101)] {
        let options = MemcachedOptions { prefix: prefix.to_owned(), ..MemcachedOptions::default() };
        let error = MemcachedStore::connect("memcached://localhost", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{prefix}");
    }
    let error = MemcachedStore::connect("memcached://ada:hunter2@localhost", MemcachedOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.report().contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_item_is_corrupt_until_it_is_deleted() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let store = store(server.url(), "damaged:");
    let version = create(&store, key("one"), entry("x")).await;
    let name = format!("damaged:{}", key("one"));
    talk(server.node().port, format!("ms {name} 3\r\nhey\r\n").as_bytes(), "HD");
    let none = Entry { lifetime: Duration::ZERO, ..entry("") };
    let kinds = [
        store.get(key("one")).await.unwrap_err().kind(),
        store.put(key("one"), entry("y"), PutMode::Create).await.unwrap_err().kind(),
        store.put(key("one"), entry("y"), PutMode::Replace(version)).await.unwrap_err().kind(),
        store.put(key("one"), none, PutMode::Replace(version)).await.unwrap_err().kind(),
        store.touch(key("one"), version, HOUR).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Corrupt; 5]);
    assert!(talk(server.node().port, format!("mg {name} v\r\n").as_bytes(), "\r\n").starts_with("VA 3"), "it stands");
    assert!(store.delete(key("one")).await.unwrap());
    assert_eq!(value(&store, key("one")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_save_restores_an_evicted_tag() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let store = store(server.url(), "mend:");
    let tag = Tag::of("user:42");
    let tagged = || Entry { tag: Some(tag), ..entry("x") };
    let version = create(&store, key("one"), tagged()).await;
    let evict = format!("md mend:tag:{tag}\r\n");
    assert!(talk(server.node().port, evict.as_bytes(), "\r\n").starts_with("HD"), "there is no such item");
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), []);
    let put = store.put(key("one"), tagged(), PutMode::Replace(version)).await;
    let Ok(PutResult::Stored(version)) = put else { panic!("{put:?}") };
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [key("one")]);
    talk(server.node().port, evict.as_bytes(), "\r\n");
    assert!(store.touch(key("one"), version, 2 * HOUR).await.unwrap());
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [key("one")]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_works_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("memcached.sock");
    let Some(server) = CustomServer::socket(&socket) else { return };
    let store = MemcachedStore::connect(&format!("memcached+unix://{}", socket.display()), quick("p:")).unwrap();
    let version = create(&store, key("one"), entry("x")).await;
    assert!(matches!(store.put(key("one"), entry("y"), PutMode::Replace(version)).await, Ok(PutResult::Stored(_))));
    assert_eq!(value(&store, key("one")).await.as_deref(), Some(&b"y"[..]));
    assert!(store.describe().contains("memcached.sock"));
    drop(server);
    assert_eq!(store.get(key("one")).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
