//! Reading and writing by one caller.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::{HOUR, Subject, fresh_key, scanning};
use crate::store::{PutMode, PutResult, Version};

pub(super) async fn an_absent_key_is_no_error(subject: Subject) {
    let key = fresh_key();
    assert_eq!(subject.get(key).await, None, "get of a key that was never put");
    assert!(!subject.touch(key, Version(1), HOUR).await, "touch of an absent key");
    assert_eq!(subject.get(key).await, None, "touch created a key");
}

pub(super) async fn a_created_value_is_read_back(subject: Subject) {
    let (key, entry) = (fresh_key(), subject.entry("value"));
    let version = subject.create(key, entry.clone()).await;
    let stored = subject.get(key).await.expect("a created key is absent");
    assert_eq!((stored.value, stored.version), (entry.value, version));
    if subject.clock.is_some() {
        let off = stored.deadline.as_millis().abs_diff((subject.now() + entry.lifetime).as_millis());
        assert!(off <= 1, "the deadline is off by {off} ms");
    }
}

pub(super) async fn create_needs_an_absent_key(subject: Subject) {
    let key = fresh_key();
    subject.create(key, subject.entry("first")).await;
    assert_eq!(subject.put(key, subject.entry("second"), PutMode::Create).await, PutResult::Conflict);
    assert_eq!(subject.value(key).await.as_deref(), Some(&b"first"[..]), "a conflict wrote a value");
}

pub(super) async fn replace_needs_the_version(subject: Subject) {
    let key = fresh_key();
    let first = subject.create(key, subject.entry("first")).await;
    let second = subject.replace(key, subject.entry("second"), first).await;
    assert_ne!(first, second, "a write left the version as it was");
    for wrong in [first, Version(second.0.wrapping_add(1)), Version(0)] {
        assert_eq!(
            subject.put(key, subject.entry("third"), PutMode::Replace(wrong)).await,
            PutResult::Conflict,
            "{wrong:?}"
        );
    }
    let stored = subject.get(key).await.expect("it is there");
    assert_eq!((&stored.value[..], stored.version), (&b"second"[..], second));
}

pub(super) async fn replace_needs_a_key(subject: Subject) {
    let key = fresh_key();
    assert_eq!(subject.put(key, subject.entry("x"), PutMode::Replace(Version(1))).await, PutResult::Conflict);
    assert_eq!(subject.get(key).await, None, "replace created a key");
}

pub(super) async fn put_always_writes(subject: Subject) {
    let key = fresh_key();
    for value in ["first", "second"] {
        assert!(matches!(subject.put(key, subject.entry(value), PutMode::Always).await, PutResult::Stored(_)));
        assert_eq!(subject.value(key).await.as_deref(), Some(value.as_bytes()));
    }
}

/// A wrapper that does not forward the method loses the mode, or the value.
pub(super) async fn an_evictable_put_keeps_to_its_mode(subject: Subject) {
    let key = fresh_key();
    let put = async |value: &'static str, mode| {
        let written = subject.store.put_evictable(key, subject.entry(value), mode).await;
        written.expect("an evictable put succeeds in a store that has room")
    };
    assert_eq!(put("none", PutMode::Replace(Version(1))).await, PutResult::Conflict, "replace created a key");
    let PutResult::Stored(first) = put("first", PutMode::Create).await else { panic!("the key was free") };
    assert_eq!(put("second", PutMode::Create).await, PutResult::Conflict, "a create replaced a value");
    let PutResult::Stored(second) = put("second", PutMode::Replace(first)).await else { panic!("it had this version") };
    assert_eq!(put("third", PutMode::Replace(first)).await, PutResult::Conflict, "an old version was replaced");
    let stored = subject.get(key).await.expect("it is there");
    assert_eq!((&stored.value[..], stored.version), (&b"second"[..], second));
    assert!(matches!(put("fourth", PutMode::Always).await, PutResult::Stored(_)));
    assert!(subject.delete(key).await, "what was put evictable is deleted as any value");
}

/// A writer that loaded a version before the key was deleted must not replace a value that was created afterwards.
pub(super) async fn versions_never_come_back(subject: Subject) {
    let key = fresh_key();
    let mut seen = HashSet::new();
    for round in 0..20 {
        let first = subject.create(key, subject.entry("x")).await;
        let second = subject.replace(key, subject.entry("y"), first).await;
        for version in [first, second] {
            assert!(seen.insert(version), "{version:?} came back in round {round}");
        }
        subject.delete(key).await;
    }
}

pub(super) async fn delete_returns_whether_the_key_existed(subject: Subject) {
    let key = fresh_key();
    assert!(!subject.delete(key).await, "delete of an absent key");
    subject.create(key, subject.entry("x")).await;
    assert!(subject.delete(key).await, "delete of a present key");
    assert_eq!(subject.get(key).await, None, "a deleted key was read");
    assert!(!subject.delete(key).await, "delete of a deleted key");
    subject.create(key, subject.entry("again")).await;
}

/// Several callers write, since a store that syncs takes long for each write.
pub(super) async fn many_keys_are_kept_apart(subject: Subject) {
    const CALLERS: usize = 16;
    let keys: Vec<_> = (0..subject.many_keys).map(|_| fresh_key()).collect();
    let mut writers = JoinSet::new();
    for keys in keys.chunks(keys.len().div_ceil(CALLERS).max(1)).map(<[_]>::to_vec) {
        let subject = subject.clone();
        writers.spawn(async move {
            for key in keys {
                subject.create(key, subject.entry(key.to_string())).await;
            }
        });
    }
    writers.join_all().await;
    for (index, key) in keys.iter().enumerate() {
        let value = subject.value(*key).await;
        assert_eq!(value, Some(key.to_string().into()), "key {index} of {}", keys.len());
    }
    for key in keys {
        subject.delete(key).await;
    }
}

pub(super) async fn describe_returns_one_line(subject: Subject) {
    let description = subject.store.describe();
    assert!(!description.is_empty() && !description.contains('\n'), "{description:?}");
}

pub(super) async fn a_ping_returns_the_time_and_leaves_nothing(subject: Subject) {
    // Other users of a server may write at the same time, so its keys cannot be attributed.
    let alone = subject.clock.is_some();
    let before = if alone { scanning::all(&subject, 1_000).await } else { HashSet::new() };
    let time = subject.store.ping().await.expect("ping works");
    if alone {
        assert_eq!(time, subject.now(), "ping returned another time than that of the store's clock");
        for key in scanning::all(&subject, 1_000).await.difference(&before) {
            assert_eq!(subject.get(*key).await, None, "a ping left a value under {key}");
        }
    } else {
        // The server runs on this machine, so its clock is ours.
        let off = time.as_millis().abs_diff(subject.now().as_millis());
        assert!(off < 5_000, "ping returned a time that is {off} ms off");
    }
}
