//! Many callers at once, and callers that go away.

use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Subject, fresh_key};
use crate::{Outcome, Put, Reply, StoreKey, Version};

const WRITERS: usize = 64;

async fn winners(subject: &Subject, key: StoreKey, when: Put) -> usize {
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let subject = subject.clone();
        tasks.spawn(async move { subject.put(key, subject.entry(writer.to_string()), when).await });
    }
    let outcomes = tasks.join_all().await;
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count()
}

pub(super) async fn one_writer_of_a_version_wins(subject: Subject) {
    for _ in 0..5 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        assert_eq!(winners(&subject, key, Put::Replace(version)).await, 1, "of {WRITERS} writers of one version");
    }
}

pub(super) async fn one_creator_wins(subject: Subject) {
    for _ in 0..5 {
        assert_eq!(winners(&subject, fresh_key(), Put::Create).await, 1, "of {WRITERS} creators of one key");
    }
}

pub(super) async fn counting_loses_nothing(subject: Subject) {
    const TASKS: u64 = 16;
    const EACH: u64 = 10;
    let key = fresh_key();
    subject.create(key, subject.entry("0")).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let subject = subject.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                while !increment(&subject, key).await {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(subject.value(key).await, Some((TASKS * EACH).to_string().into()), "{TASKS} tasks counted {EACH} each");
}

async fn increment(subject: &Subject, key: StoreKey) -> bool {
    let stored = subject.get(key).await.expect("the counter is there");
    let count: u64 = std::str::from_utf8(&stored.value).ok().and_then(|text| text.parse().ok()).expect("a number");
    let put = subject.put(key, subject.entry((count + 1).to_string()), Put::Replace(stored.version)).await;
    matches!(put, Outcome::Stored(_))
}

pub(super) async fn a_deleted_key_is_not_replaced(subject: Subject) {
    for _ in 0..50 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        let (writer, deleter) = (subject.clone(), subject.clone());
        let write = tokio::spawn(async move { writer.put(key, writer.entry("late"), Put::Replace(version)).await });
        let delete = tokio::spawn(async move { deleter.delete(key).await });
        assert!(delete.await.expect("no panic"), "the key was there in any order");
        let _ = write.await.expect("no panic");
        assert_eq!(subject.get(key).await, None, "a replace brought a deleted key back");
    }
}

/// A value whose bytes all tell which writing it is of.
fn pattern(round: u8) -> Bytes {
    vec![round; 20_000 + usize::from(round)].into()
}

fn is_pattern(value: &[u8]) -> bool {
    value
        .first()
        .is_some_and(|round| value.len() == 20_000 + usize::from(*round) && value.iter().all(|byte| byte == round))
}

pub(super) async fn readers_see_whole_values(subject: Subject) {
    let key = fresh_key();
    subject.create(key, subject.entry(pattern(0))).await;
    let writer = subject.clone();
    let writing = tokio::spawn(async move {
        for round in 1..=100 {
            writer.always(key, writer.entry(pattern(round))).await;
        }
    });
    while !writing.is_finished() {
        let value = subject.value(key).await.expect("a key that is replaced is never absent");
        assert!(is_pattern(&value), "a torn value of {} bytes", value.len());
        tokio::task::yield_now().await;
    }
    writing.await.expect("no panic");
}

pub(super) async fn sweeping_hurts_no_writer(subject: Subject) {
    let sweeper = subject.clone();
    let sweeping = tokio::spawn(async move {
        for _ in 0..20 {
            sweeper.sweep(100).await;
            tokio::task::yield_now().await;
        }
    });
    let keys: Vec<_> = (0..200).map(|_| fresh_key()).collect();
    for key in &keys {
        subject.create(*key, subject.entry("x")).await;
    }
    sweeping.await.expect("no panic");
    for key in keys {
        assert!(subject.get(key).await.is_some(), "a sweep took a live key");
    }
}

/// Polls a future so often and then drops it. Says whether it ended before that.
async fn poll_and_drop<T>(mut future: Reply<'_, T>, polls: usize) -> bool {
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

pub(super) async fn a_dropped_future_leaves_old_or_new(subject: Subject) {
    for polls in 0..12 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("old")).await;
        poll_and_drop(subject.store.put(key, subject.entry("new"), Put::Replace(version)), polls).await;
        settle_on(&subject, key, &[b"old", b"new"]).await;
        poll_and_drop(subject.store.touch(key, subject.now() + Duration::from_secs(99)), polls).await;
        poll_and_drop(subject.store.get(key), polls).await;
        settle_on(&subject, key, &[b"old", b"new"]).await;
        poll_and_drop(subject.store.delete(key), polls).await;
        let usable = tokio::time::timeout(Duration::from_secs(20), usable(&subject, key)).await;
        assert!(usable.is_ok(), "the store hangs after a future was dropped at poll {polls}");
    }
}

async fn settle_on(subject: &Subject, key: StoreKey, allowed: &[&[u8]]) {
    let value = subject.value(key).await.expect("the key is there");
    assert!(allowed.contains(&&value[..]), "a dropped put left {value:?}");
}

/// Whatever became of the dropped delete: the key can be deleted and made again, once it has come to an end.
async fn usable(subject: &Subject, key: StoreKey) {
    subject.delete(key).await;
    while subject.put(key, subject.entry("again"), Put::Create).await == Outcome::Conflict {
        subject.delete(key).await;
        tokio::task::yield_now().await;
    }
    let _ = subject.put(key, subject.entry("x"), Put::Replace(Version(0))).await;
}
