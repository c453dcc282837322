//! Deadlines and sweeping.

use std::time::Duration;

use super::{BRIEF, PAST_BRIEF, Subject, fresh_key};
use crate::{Entry, Outcome, Put, StoreKey, Time};

pub(super) async fn expired_is_absent_for_every_method(subject: Subject) {
    let keys = [(); 5].map(|()| fresh_key());
    let mut versions = Vec::new();
    for key in keys {
        versions.push(subject.create(key, subject.brief("x")).await);
    }
    if subject.clock.is_some() {
        subject.wait(BRIEF - Duration::from_millis(1)).await;
        assert!(subject.get(keys[0]).await.is_some(), "a millisecond before its deadline it is there");
        subject.wait(Duration::from_millis(1)).await;
    } else {
        subject.wait(PAST_BRIEF).await;
    }
    assert_eq!(subject.get(keys[0]).await, None, "get of an expired key");
    assert!(!subject.touch(keys[1], subject.now() + BRIEF).await, "touch of an expired key");
    assert_eq!(subject.get(keys[1]).await, None, "touch raised an expired key");
    assert!(!subject.delete(keys[2]).await, "delete of an expired key");
    let replaced = subject.put(keys[3], subject.entry("y"), Put::Replace(versions[3])).await;
    assert_eq!(replaced, Outcome::Conflict, "replace of an expired key");
    let created = subject.create(keys[4], subject.entry("y")).await;
    assert_ne!(created, versions[4], "a version came back after expiry");
}

pub(super) async fn touch_moves_the_deadline_only(subject: Subject) {
    let key = fresh_key();
    let version = subject.create(key, subject.brief("x")).await;
    let later = subject.now() + 10 * BRIEF;
    assert!(subject.touch(key, later).await, "touch of a present key");
    subject.wait(PAST_BRIEF).await;
    let stored = subject.get(key).await.expect("its deadline was moved later");
    assert_eq!((&stored.value[..], stored.version), (&b"x"[..], version), "touch changed value or version");
    assert!(stored.deadline.as_millis().abs_diff(later.as_millis()) <= 1, "{:?} is not {later:?}", stored.deadline);
    assert!(subject.touch(key, subject.now() + BRIEF).await);
    subject.wait(PAST_BRIEF).await;
    assert_eq!(subject.get(key).await, None, "its deadline was moved earlier");
}

pub(super) async fn touch_does_not_raise_the_dead(subject: Subject) {
    let key = fresh_key();
    subject.create(key, subject.entry("x")).await;
    subject.delete(key).await;
    assert!(!subject.touch(key, subject.now() + BRIEF).await);
    assert_eq!(subject.get(key).await, None);
}

/// How a caller removes one version and no other.
pub(super) async fn a_past_deadline_removes_one_version(subject: Subject) {
    let key = fresh_key();
    let first = subject.create(key, subject.entry("first")).await;
    let second = subject.replace(key, subject.entry("second"), first).await;
    let ended = || Entry { deadline: Time::ZERO, ..subject.entry("") };
    assert_eq!(subject.put(key, ended(), Put::Replace(first)).await, Outcome::Conflict, "an older version");
    assert!(subject.get(key).await.is_some(), "a conflict removed");
    assert!(matches!(subject.put(key, ended(), Put::Replace(second)).await, Outcome::Stored(_)));
    assert_eq!(subject.get(key).await, None, "a value with a past deadline was read");
    assert!(!subject.delete(key).await, "a value with a past deadline was there");
    subject.create(key, subject.entry("again")).await;
    let absent = fresh_key();
    assert!(matches!(subject.put(absent, ended(), Put::Always).await, Outcome::Stored(_)));
    assert_eq!(subject.get(absent).await, None);
}

pub(super) async fn never_is_kept(subject: Subject) {
    let key = fresh_key();
    subject.create(key, Entry { deadline: Time::MAX, ..subject.entry("x") }).await;
    if subject.clock.is_some() {
        subject.wait(Duration::from_secs(100 * 365 * 24 * 3_600)).await;
    }
    subject.sweep(10_000).await;
    assert!(subject.get(key).await.is_some(), "what never expires has expired");
}

async fn brief_and_lasting(subject: &Subject, count: usize) -> (Vec<StoreKey>, Vec<StoreKey>) {
    let brief: Vec<_> = (0..count).map(|_| fresh_key()).collect();
    let lasting: Vec<_> = (0..count).map(|_| fresh_key()).collect();
    for key in &brief {
        subject.create(*key, subject.brief("x")).await;
    }
    for key in &lasting {
        subject.create(*key, subject.entry("y")).await;
    }
    (brief, lasting)
}

pub(super) async fn sweep_removes_what_expired_and_nothing_else(subject: Subject) {
    subject.sweep(10_000).await;
    let (brief, lasting) = brief_and_lasting(&subject, 50).await;
    // These outlive their first deadline, or end before it.
    subject.touch(brief[0], subject.now() + 10 * BRIEF).await;
    subject.touch(lasting[0], subject.now() + BRIEF).await;
    subject.wait(PAST_BRIEF).await;
    let removed = subject.sweep(10_000).await;
    if subject.clock.is_some() && subject.sweeps {
        assert_eq!(removed, 50, "49 of the brief and one of the lasting have expired");
        assert_eq!(subject.sweep(10_000).await, 0, "a second sweep found more");
    }
    assert!(subject.get(brief[0]).await.is_some(), "a touched key was swept");
    assert!(subject.get(brief[1]).await.is_none() && subject.get(lasting[0]).await.is_none());
    for key in &lasting[1..] {
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
    assert_eq!(removed, 50, "small sweeps together remove what expired");
}
