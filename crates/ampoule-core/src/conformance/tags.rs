//! Finding records by their tag.

use std::collections::HashSet;

use super::{PAST_BRIEF, Subject, fresh_key};
use crate::{Entry, Outcome, Put, StoreKey, Tag};

fn fresh_tag() -> Tag {
    Tag::new(*fresh_key().as_bytes())
}

async fn tagged(subject: &Subject, tag: Tag) -> HashSet<StoreKey> {
    let keys = subject.store.tagged(tag).await.unwrap_or_else(|error| panic!("tagged failed: {error}"));
    let set: HashSet<_> = keys.iter().copied().collect();
    assert_eq!(set.len(), keys.len(), "a key was named twice");
    set
}

pub(super) async fn tagged_finds_what_was_last_put_with_it(subject: Subject) {
    let (tag, other) = (fresh_tag(), fresh_tag());
    let keys = [(); 4].map(|()| fresh_key());
    assert_eq!(tagged(&subject, tag).await, HashSet::new());
    let with = |tag| Entry { tag, ..subject.entry("x") };
    let mut versions = Vec::new();
    for key in keys {
        versions.push(subject.create(key, with(Some(tag))).await);
    }
    assert_eq!(tagged(&subject, tag).await, HashSet::from(keys), "after create");
    subject.touch(keys[0], subject.now() + std::time::Duration::from_secs(60)).await;
    assert!(matches!(subject.put(keys[0], with(Some(tag)), Put::Always).await, Outcome::Stored(_)));
    assert!(matches!(subject.put(keys[1], with(Some(other)), Put::Replace(versions[1])).await, Outcome::Stored(_)));
    assert!(matches!(subject.put(keys[2], with(None), Put::Replace(versions[2])).await, Outcome::Stored(_)));
    assert!(subject.delete(keys[3]).await);
    assert_eq!(tagged(&subject, tag).await, HashSet::from([keys[0]]), "after writing, retagging, untagging, deleting");
    assert_eq!(tagged(&subject, other).await, HashSet::from([keys[1]]), "the other tag");
}

pub(super) async fn tagged_forgets_the_expired(subject: Subject) {
    let tag = fresh_tag();
    let (brief, touched) = (fresh_key(), fresh_key());
    for key in [brief, touched] {
        subject.create(key, Entry { tag: Some(tag), ..subject.brief("x") }).await;
    }
    subject.touch(touched, subject.now() + 20 * PAST_BRIEF).await;
    subject.wait(PAST_BRIEF).await;
    assert_eq!(tagged(&subject, tag).await, HashSet::from([touched]));
    subject.sweep(10_000).await;
    assert_eq!(tagged(&subject, tag).await, HashSet::from([touched]), "after a sweep");
}

pub(super) async fn tags_hold_many(subject: Subject) {
    let tag = fresh_tag();
    let keys: HashSet<_> = (0..1_000).map(|_| fresh_key()).collect();
    for key in &keys {
        subject.create(*key, Entry { tag: Some(tag), ..subject.entry("x") }).await;
    }
    assert_eq!(tagged(&subject, tag).await, keys);
}
