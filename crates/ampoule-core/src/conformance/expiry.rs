//! Deadlines and sweeping.

use std::time::Duration;

use super::{BRIEF, PAST_BRIEF, Subject, fresh_key};
use crate::clock::Clock;
use crate::key::{StoreKey, Tag};
use crate::store::{Entry, PutMode, PutResult, Version};

pub(super) async fn expired_is_absent_for_every_method(subject: Subject) {
    let keys = [(); 5].map(|()| fresh_key());
    let mut versions = Vec::new();
    for key in keys {
        versions.push(subject.create(key, subject.brief("x")).await);
    }
    if subject.clock.is_some() {
        subject.wait(BRIEF - Duration::from_millis(1)).await;
        assert!(subject.get(keys[0]).await.is_some(), "a value expired a millisecond before its deadline");
        subject.wait(Duration::from_millis(1)).await;
    } else {
        subject.wait(PAST_BRIEF).await;
    }
    assert_eq!(subject.get(keys[0]).await, None, "get of an expired key");
    assert!(!subject.touch(keys[1], versions[1], BRIEF).await, "touch of an expired key");
    assert_eq!(subject.get(keys[1]).await, None, "touch revived an expired key");
    assert!(!subject.delete(keys[2]).await, "delete of an expired key");
    let replaced = subject.put(keys[3], subject.entry("y"), PutMode::Replace(versions[3])).await;
    assert_eq!(replaced, PutResult::Conflict, "replace of an expired key");
    let created = subject.create(keys[4], subject.entry("y")).await;
    assert_ne!(created, versions[4], "a version came back after expiry");
}

pub(super) async fn touch_moves_the_deadline_only(subject: Subject) {
    let key = fresh_key();
    let version = subject.create(key, subject.brief("x")).await;
    let later = subject.now() + 10 * BRIEF;
    assert!(subject.touch(key, version, 10 * BRIEF).await, "touch of a present key");
    subject.wait(PAST_BRIEF).await;
    let stored = subject.get(key).await.expect("touch did not move the deadline");
    assert_eq!((&stored.value[..], stored.version), (&b"x"[..], version), "touch changed value or version");
    if subject.clock.is_some() {
        assert!(stored.deadline.as_millis().abs_diff(later.as_millis()) <= 1, "{:?} is not {later:?}", stored.deadline);
        subject.wait(9 * BRIEF).await;
        assert_eq!(subject.get(key).await, None, "touch moved the deadline too far");
    }
}

/// Of two touches of one version the later deadline stays, in either order.
pub(super) async fn touch_never_shortens(subject: Subject) {
    let key = fresh_key();
    let version = subject.create(key, subject.entry("x")).await;
    assert!(subject.touch(key, version, BRIEF).await, "a touch to an earlier deadline did not find its version");
    assert!(
        subject.touch(key, version, Duration::ZERO).await,
        "a touch with a lifetime of zero did not find its version"
    );
    subject.wait(PAST_BRIEF).await;
    let stored = subject.get(key).await.expect("a touch moved the deadline to an earlier moment");
    assert_eq!(stored.version, version);
}

pub(super) async fn touch_needs_the_version(subject: Subject) {
    let key = fresh_key();
    let first = subject.create(key, subject.brief("first")).await;
    let second = subject.replace(key, subject.brief("second"), first).await;
    for wrong in [first, Version(second.0.wrapping_add(1)), Version(0)] {
        assert!(!subject.touch(key, wrong, 10 * BRIEF).await, "touch of another version, {wrong:?}");
    }
    subject.wait(PAST_BRIEF).await;
    assert_eq!(subject.get(key).await, None, "a touch of another version moved the deadline");
}

pub(super) async fn touch_revives_no_deleted_key(subject: Subject) {
    let key = fresh_key();
    let version = subject.create(key, subject.entry("x")).await;
    subject.delete(key).await;
    assert!(!subject.touch(key, version, BRIEF).await);
    assert_eq!(subject.get(key).await, None);
}

/// Callers remove exactly one version this way.
pub(super) async fn a_zero_lifetime_removes_one_version(subject: Subject) {
    let key = fresh_key();
    let first = subject.create(key, subject.entry("first")).await;
    let second = subject.replace(key, subject.entry("second"), first).await;
    let ended = || Entry { lifetime: Duration::ZERO, ..subject.entry("") };
    assert_eq!(subject.put(key, ended(), PutMode::Replace(first)).await, PutResult::Conflict, "an older version");
    assert!(subject.get(key).await.is_some(), "a conflict removed the value");
    assert!(matches!(subject.put(key, ended(), PutMode::Replace(second)).await, PutResult::Stored(_)));
    assert_eq!(subject.get(key).await, None, "a value without a lifetime was read");
    assert!(!subject.delete(key).await, "a value without a lifetime was deleted");
    subject.create(key, subject.entry("again")).await;
    for lifetime in [Duration::ZERO, Duration::from_micros(999)] {
        let (key, entry) = (fresh_key(), Entry { lifetime, ..subject.entry("") });
        assert!(matches!(subject.put(key, entry, PutMode::Always).await, PutResult::Stored(_)));
        assert_eq!(subject.get(key).await, None, "a value with a lifetime of {lifetime:?} was read");
    }
}

pub(super) async fn a_value_that_never_expires_is_kept(subject: Subject) {
    let key = fresh_key();
    subject.create(key, Entry { lifetime: Duration::MAX, ..subject.entry("x") }).await;
    if subject.clock.is_some() {
        subject.wait(Duration::from_secs(100 * 365 * 24 * 3_600)).await;
    }
    subject.sweep(10_000).await;
    assert!(subject.get(key).await.is_some(), "a value that never expires has expired");
}

type Keys = Vec<(StoreKey, Version)>;

async fn brief_and_lasting(subject: &Subject, count: usize) -> (Keys, Keys) {
    let (mut brief, mut lasting) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let key = fresh_key();
        brief.push((key, subject.create(key, subject.brief("x")).await));
    }
    for _ in 0..count {
        let key = fresh_key();
        lasting.push((key, subject.create(key, subject.entry("y")).await));
    }
    (brief, lasting)
}

pub(super) async fn sweep_removes_expired_values_only(subject: Subject) {
    subject.sweep(10_000).await;
    let (brief, lasting) = brief_and_lasting(&subject, 50).await;
    // It outlives its first deadline.
    assert!(subject.touch(brief[0].0, brief[0].1, 10 * BRIEF).await);
    subject.wait(PAST_BRIEF).await;
    let removed = subject.sweep(10_000).await;
    if subject.clock.is_some() && subject.sweeps {
        assert_eq!(removed, 49, "a sweep removes all expired values");
        assert_eq!(subject.sweep(10_000).await, 0, "a second sweep removed more");
    }
    assert!(subject.get(brief[0].0).await.is_some(), "a touched key was swept");
    assert!(subject.get(brief[1].0).await.is_none());
    for (key, _) in &lasting {
        assert!(subject.get(*key).await.is_some(), "a live key was swept");
    }
}

pub(super) async fn sweep_keeps_to_its_budget(subject: Subject) {
    subject.sweep(10_000).await;
    brief_and_lasting(&subject, 50).await;
    subject.wait(PAST_BRIEF).await;
    if subject.clock.is_none() || !subject.sweeps {
        return;
    }
    let mut removed = 0;
    for _ in 0..100_000 {
        let swept = subject.store.sweep(7).await.expect("sweep works");
        assert!(swept.removed <= 7, "a sweep with a budget of 7 removed {}", swept.removed);
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    assert_eq!(removed, 50, "small sweeps together remove all expired values");
}

/// A clock that is ahead hides values, and a correction makes them visible again with their tags, except for those that
/// were deleted meanwhile.
pub(super) async fn a_clock_set_back_revives_no_deleted_key(subject: Subject) {
    let Some(clock) = subject.clock.clone() else { return };
    let (keys, tag) = ([(); 3].map(|()| fresh_key()), Tag::of("of one principal"));
    let tagged = |value: &'static str| Entry { tag: Some(tag), ..subject.brief(value) };
    for key in keys {
        subject.create(key, tagged("x")).await;
    }
    let right = clock.now();
    clock.set(right + PAST_BRIEF);
    assert!(!subject.delete(keys[0]).await, "delete of an expired key");
    subject.always(keys[1], Entry { lifetime: Duration::ZERO, ..tagged("y") }).await;
    let found =
        subject.store.keys_with_tag(tag).await.unwrap_or_else(|error| panic!("keys_with_tag failed: {error:?}"));
    assert!(!found.contains(&keys[2]), "the tag of an expired key");
    clock.set(right);
    assert_eq!(subject.get(keys[0]).await, None, "a deleted key came back");
    assert_eq!(subject.get(keys[1]).await, None, "a key that was put without a lifetime came back");
    assert!(subject.get(keys[2]).await.is_some(), "a key was lost");
    let found =
        subject.store.keys_with_tag(tag).await.unwrap_or_else(|error| panic!("keys_with_tag failed: {error:?}"));
    assert!(found.contains(&keys[2]), "a key lost its tag while it had expired");
}
