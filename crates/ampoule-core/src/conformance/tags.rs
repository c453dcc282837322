//! Finding values by their tag.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::{HOUR, PAST_BRIEF, Subject, fresh_key};
use crate::key::{StoreKey, Tag};
use crate::store::{Entry, PutMode, PutResult};

fn fresh_tag() -> Tag {
    Tag::new(*fresh_key().as_bytes())
}

async fn keys_with_tag(subject: &Subject, tag: Tag) -> HashSet<StoreKey> {
    let keys = subject.store.keys_with_tag(tag).await.unwrap_or_else(|error| panic!("keys_with_tag failed: {error}"));
    let set: HashSet<_> = keys.iter().copied().collect();
    assert_eq!(set.len(), keys.len(), "a key was named twice");
    set
}

pub(super) async fn keys_with_tag_finds_what_was_last_put_with_it(subject: Subject) {
    let (tag, other) = (fresh_tag(), fresh_tag());
    let keys = [(); 4].map(|()| fresh_key());
    assert_eq!(keys_with_tag(&subject, tag).await, HashSet::new());
    let with = |tag| Entry { tag, ..subject.entry("x") };
    let mut versions = Vec::new();
    for key in keys {
        versions.push(subject.create(key, with(Some(tag))).await);
    }
    assert_eq!(keys_with_tag(&subject, tag).await, HashSet::from(keys), "after create");
    assert!(subject.touch(keys[0], versions[0], 2 * HOUR).await);
    assert!(matches!(subject.put(keys[0], with(Some(tag)), PutMode::Always).await, PutResult::Stored(_)));
    assert!(matches!(
        subject.put(keys[1], with(Some(other)), PutMode::Replace(versions[1])).await,
        PutResult::Stored(_)
    ));
    assert!(matches!(subject.put(keys[2], with(None), PutMode::Replace(versions[2])).await, PutResult::Stored(_)));
    assert!(subject.delete(keys[3]).await);
    assert_eq!(
        keys_with_tag(&subject, tag).await,
        HashSet::from([keys[0]]),
        "after writing, retagging, untagging, deleting"
    );
    assert_eq!(keys_with_tag(&subject, other).await, HashSet::from([keys[1]]), "the other tag");
}

pub(super) async fn keys_with_tag_omits_expired_keys(subject: Subject) {
    let tag = fresh_tag();
    let (brief, touched) = (fresh_key(), fresh_key());
    subject.create(brief, Entry { tag: Some(tag), ..subject.brief("x") }).await;
    let version = subject.create(touched, Entry { tag: Some(tag), ..subject.brief("x") }).await;
    assert!(subject.touch(touched, version, 20 * PAST_BRIEF).await);
    subject.wait(PAST_BRIEF).await;
    assert_eq!(keys_with_tag(&subject, tag).await, HashSet::from([touched]));
    subject.sweep(10_000).await;
    assert_eq!(keys_with_tag(&subject, tag).await, HashSet::from([touched]), "after a sweep");
}

pub(super) async fn a_tag_holds_many_keys(subject: Subject) {
    let tag = fresh_tag();
    let keys: HashSet<_> = (0..1_000).map(|_| fresh_key()).collect();
    for key in &keys {
        subject.create(*key, Entry { tag: Some(tag), ..subject.entry("x") }).await;
    }
    assert_eq!(keys_with_tag(&subject, tag).await, keys);
}

/// Several callers put keys with one tag, another or none, and delete them; when they have finished, each key is found
/// by the tag that it was last put with.
pub(super) async fn tags_follow_concurrent_writers(subject: Subject) {
    const KEYS: usize = 8;
    let tags = [fresh_tag(), fresh_tag()];
    let keys = [(); KEYS].map(|()| fresh_key());
    let mut writers = JoinSet::new();
    for writer in 0..KEYS {
        let subject = subject.clone();
        writers.spawn(async move {
            for round in 0..30 {
                let key = keys[(writer + round) % KEYS];
                let tag = tags.get((writer * 7 + round) % 3).copied();
                subject.always(key, Entry { tag, ..subject.entry("x") }).await;
                if round % 11 == 10 {
                    subject.delete(key).await;
                }
            }
        });
    }
    writers.join_all().await;
    let last = [Some(tags[0]), Some(tags[1]), None];
    for (key, tag) in keys.iter().zip(last.iter().cycle()) {
        subject.always(*key, Entry { tag: *tag, ..subject.entry("x") }).await;
    }
    for tag in tags {
        let with = keys.iter().zip(last.iter().cycle()).filter(|(_, last)| **last == Some(tag));
        assert_eq!(keys_with_tag(&subject, tag).await, with.map(|(key, _)| *key).collect(), "after parallel writers");
    }
}
