//! Sizes, memory and settings: a value that does not fit is refused and changes nothing, and an evicted one is absent.

use crate::support::{CustomServer, HOUR, create, entry, key, stat, store, talk, value};
use ampoule_core::{Entry, ErrorKind, PutMode, PutResult, Store, StoreKey, Tag, Version};

/// Returns whether a value of this size in bytes is stored.
async fn fits(store: &dyn Store, size: usize) -> bool {
    match store.put(key("sized"), entry(vec![7; size]), PutMode::Always).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_may_be_as_large_as_the_server_allows() {
    for (option, chunk, largest) in [("16k", 8_192, 16 << 10), ("1m", 524_288, 1 << 20), ("4m", 524_288, 4 << 20)] {
        let chunk = format!("slab_chunk_max={chunk}");
        let Some(server) = CustomServer::start(&["-I", option, "-o", &chunk, "-m", "128"]) else { return };
        let store = store(&server.url(), "p:");
        assert!(fits(&store, largest - 200).await, "{option}");
        assert!(!fits(&store, largest).await, "{option}");
        assert!(fits(&store, largest - 200).await, "{option}, again");
    }
}

/// memcached removes the old value when it receives a larger one than it accepts, even under a wrong token.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_leaves_the_old_one() {
    let Some(server) = CustomServer::start(&[]) else { return };
    let store = store(&server.url(), "p:");
    let version = create(&store, key("one"), entry("kept")).await;
    let large = || entry(vec![7; (1 << 20) - 100]);
    for mode in [PutMode::Replace(version), PutMode::Replace(Version(1)), PutMode::Create, PutMode::Always] {
        let answer = store.put(key("one"), large(), mode).await;
        assert!(!matches!(answer, Ok(PutResult::Stored(_))), "{mode:?}");
        assert_eq!(value(&store, key("one")).await.as_deref(), Some(&b"kept"[..]), "after {mode:?}");
    }
    let error = store.put(key("one"), large(), PutMode::Replace(version)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_exceeds_its_item_is_an_error_and_keeps_its_keys() {
    let Some(server) = CustomServer::start(&["-I", "8k", "-o", "slab_chunk_max=4096"]) else { return };
    let store = store(&server.url(), "p:");
    let tagged = || Entry { tag: Some(Tag::of("user:42")), ..entry("x") };
    let mut kept = 0;
    let error = loop {
        match store.put(key(&kept.to_string()), tagged(), PutMode::Create).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "8 KiB cannot hold so many");
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.report().contains("keys"), "{error}");
    assert!(kept > 150, "only {kept} keys of one tag");
    assert_eq!(value(&store, key(&kept.to_string())).await, None, "what the tag cannot name is not written");
    assert_eq!(store.keys_with_tag(Tag::of("user:42")).await.unwrap().len(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_value_is_absent_without_an_error() {
    let Some(server) = CustomServer::start(&["-m", "2"]) else { return };
    let store = store(&server.url(), "p:");
    let keys: Vec<StoreKey> = (0..2_000).map(|number| key(&number.to_string())).collect();
    let mut versions = Vec::new();
    for key in &keys {
        versions.push(create(&store, *key, Entry { tag: Some(Tag::of("user:42")), ..entry(vec![7; 4_000]) }).await);
    }
    assert!(stat(server.port, "evictions") > 500, "nothing was evicted");
    let mut gone = 0;
    for (key, version) in keys.iter().zip(versions) {
        if value(&store, *key).await.is_none() {
            gone += 1;
            let late = store.put(*key, entry("late"), PutMode::Replace(version)).await.unwrap();
            assert_eq!(late, PutResult::Conflict, "what is gone stays gone");
            assert!(!store.touch(*key, version, HOUR).await.unwrap());
            assert!(!store.delete(*key).await.unwrap());
        }
    }
    assert!(gone > 500, "only {gone} were absent");
    store.keys_with_tag(Tag::of("user:42")).await.unwrap();
}

/// This removes the server's boot id as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_server_is_empty_and_usable() {
    let Some(server) = CustomServer::start(&[]) else { return };
    let (one, two) = (store(&server.url(), "p:"), store(&server.url(), "p:"));
    let old = create(&one, key("one"), entry("before")).await;
    assert!(talk(server.port, b"flush_all\r\n", "\r\n").starts_with("OK"));
    create(&two, key("one"), entry("after")).await;
    assert_eq!(one.put(key("one"), entry("late"), PutMode::Replace(old)).await.unwrap(), PutResult::Conflict);
    let found = one.get(key("one")).await.unwrap().unwrap();
    assert!(matches!(
        one.put(key("one"), entry("new"), PutMode::Replace(found.version)).await,
        Ok(PutResult::Stored(_))
    ));
    assert_eq!(value(&two, key("one")).await.as_deref(), Some(&b"new"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_evict_is_full() {
    let Some(server) = CustomServer::start(&["-M", "-m", "2"]) else { return };
    let store = store(&server.url(), "p:");
    let mut refused = None;
    for number in 0..2_000 {
        if let Err(error) = store.put(key(&number.to_string()), entry(vec![7; 4_000]), PutMode::Create).await {
            refused = Some((number, error));
            break;
        }
    }
    let (kept, error) = refused.expect("2 MiB cannot hold 8 MB");
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.report().contains("-m"), "{error}");
    for number in 0..kept {
        assert!(value(&store, key(&number.to_string())).await.is_some(), "{number} of {kept} is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuitable_server_is_a_configuration_error() {
    let Some(server) = CustomServer::start(&["-C"]) else { return };
    let error = store(&server.url(), "p:").get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("-C"), "{error}");
    let passwords = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(passwords.path(), "ada:hunter2\n").unwrap();
    let Some(server) = CustomServer::start(&["-Y", passwords.path().to_str().unwrap()]) else { return };
    let error = store(&server.url(), "p:").get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.report().contains("requires a login (its option -Y)"), "{error:?}");
    let Some(server) = CustomServer::start(&["-X"]) else { return };
    let store = store(&server.url(), "p:");
    create(&store, key("one"), entry("x")).await;
    let error = store.scan(None, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("-X"), "{error}");
}
