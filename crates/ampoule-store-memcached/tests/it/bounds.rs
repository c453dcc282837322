//! Sizes, memory and settings: what does not fit is refused and spoils nothing, and what is evicted is absent.

use crate::support::{HOUR, Own, create, entry, key, stat, store, talk, value};
use ampoule_core::{Entry, ErrorKind, PutMode, PutResult, Store, StoreKey, Tag, Version};

/// Whether a value of this many bytes is kept.
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
async fn values_go_up_to_what_the_server_was_started_with() {
    for (option, chunk, largest) in [("16k", 8_192, 16 << 10), ("1m", 524_288, 1 << 20), ("4m", 524_288, 4 << 20)] {
        let chunk = format!("slab_chunk_max={chunk}");
        let Some(server) = Own::start(&["-I", option, "-o", &chunk, "-m", "128"]) else { return };
        let store = store(&server.url(), "p:");
        assert!(fits(&store, largest - 200).await, "{option}");
        assert!(!fits(&store, largest).await, "{option}");
        assert!(fits(&store, largest - 200).await, "{option}, again");
    }
}

/// memcached removes what was there when it is sent more than it takes, even under a wrong token.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_leaves_what_was_there() {
    let Some(server) = Own::start(&[]) else { return };
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
async fn a_tag_that_outgrows_its_item_is_an_error_and_stays_whole() {
    let Some(server) = Own::start(&["-I", "8k", "-o", "slab_chunk_max=4096"]) else { return };
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
async fn what_is_evicted_is_absent_and_no_error() {
    let Some(server) = Own::start(&["-m", "2"]) else { return };
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

/// Also when the mark of the server's life goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_server_is_empty_and_goes_on() {
    let Some(server) = Own::start(&[]) else { return };
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
    let Some(server) = Own::start(&["-M", "-m", "2"]) else { return };
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
async fn a_server_that_cannot_keep_sessions_is_a_wrong_setting() {
    let Some(server) = Own::start(&["-C"]) else { return };
    let error = store(&server.url(), "p:").get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("-C"), "{error}");
    let passwords = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(passwords.path(), "ada:hunter2\n").unwrap();
    let Some(server) = Own::start(&["-Y", passwords.path().to_str().unwrap()]) else { return };
    let error = store(&server.url(), "p:").get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.report().contains("after a login (its option -Y)"), "{error:?}");
    let Some(server) = Own::start(&["-X"]) else { return };
    let store = store(&server.url(), "p:");
    create(&store, key("one"), entry("x")).await;
    let error = store.scan(None, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("-X"), "{error}");
}
