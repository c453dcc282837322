//! Concurrent callers.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{HOUR, PAST_BRIEF, Subject, fresh_key};
use crate::key::StoreKey;
use crate::store::{PutMode, PutResult};

const WRITERS: usize = 64;

async fn winners(subject: &Subject, key: StoreKey, when: PutMode) -> usize {
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let subject = subject.clone();
        tasks.spawn(async move { subject.put(key, subject.entry(writer.to_string()), when).await });
    }
    let outcomes = tasks.join_all().await;
    outcomes.iter().filter(|outcome| matches!(outcome, PutResult::Stored(_))).count()
}

pub(super) async fn one_writer_of_a_version_wins(subject: Subject) {
    for _ in 0..5 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        assert_eq!(winners(&subject, key, PutMode::Replace(version)).await, 1, "of {WRITERS} writers of one version");
    }
}

pub(super) async fn one_creator_wins(subject: Subject) {
    for _ in 0..5 {
        assert_eq!(winners(&subject, fresh_key(), PutMode::Create).await, 1, "of {WRITERS} creators of one key");
    }
}

pub(super) async fn one_deleter_wins(subject: Subject) {
    for _ in 0..5 {
        let key = fresh_key();
        subject.create(key, subject.entry("x")).await;
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let subject = subject.clone();
            tasks.spawn(async move { subject.delete(key).await });
        }
        let told = tasks.join_all().await.into_iter().filter(|there| *there).count();
        assert_eq!(told, 1, "of {WRITERS} deleters of one key found it");
    }
}

pub(super) async fn concurrent_increments_are_all_counted(subject: Subject) {
    const EACH: usize = 5;
    let key = fresh_key();
    subject.create(key, subject.entry("0")).await;
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
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
    let count = subject.value(key).await;
    assert_eq!(count, Some((WRITERS * EACH).to_string().into()), "{WRITERS} tasks counted {EACH} each");
}

/// A touch that reads the value and writes it back would undo a write in between.
pub(super) async fn touch_undoes_no_concurrent_write(subject: Subject) {
    let key = fresh_key();
    subject.create(key, subject.entry("0")).await;
    let toucher = subject.clone();
    let touching = tokio::spawn(async move {
        for _ in 0..300 {
            let stored = toucher.get(key).await.expect("a key that is replaced is never absent");
            toucher.touch(key, stored.version, 2 * HOUR).await;
            tokio::task::yield_now().await;
        }
    });
    let mut counted: u64 = 0;
    while !touching.is_finished() {
        counted += u64::from(increment(&subject, key).await);
        tokio::task::yield_now().await;
    }
    touching.await.expect("touch works while a key is replaced");
    let count = subject.value(key).await;
    assert_eq!(count, Some(counted.to_string().into()), "what one task counted while another touched");
}

/// A touch of a version that is replaced meanwhile does not affect the version that replaces it.
pub(super) async fn touch_does_not_reach_a_later_version(subject: Subject) {
    let keys: Vec<_> = (0..60).map(|_| fresh_key()).collect();
    for (round, key) in keys.iter().enumerate() {
        let version = subject.create(*key, subject.entry("x")).await;
        let (toucher, writer, key) = (subject.clone(), subject.clone(), *key);
        let touch = tokio::spawn(async move { toucher.touch(key, version, 2 * HOUR).await });
        let write = tokio::spawn(async move {
            // This runs before the touch, after it, or between its steps, if it has several.
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            writer.put(key, writer.brief("y"), PutMode::Replace(version)).await
        });
        touch.await.expect("no panic");
        assert!(matches!(write.await.expect("no panic"), PutResult::Stored(_)), "a touch changed the version");
    }
    subject.wait(PAST_BRIEF).await;
    for key in keys {
        assert_eq!(subject.get(key).await, None, "a touch moved the deadline of a later version");
    }
}

async fn increment(subject: &Subject, key: StoreKey) -> bool {
    let stored = subject.get(key).await.expect("the counter is there");
    let count: u64 = std::str::from_utf8(&stored.value).ok().and_then(|text| text.parse().ok()).expect("a number");
    let put = subject.put(key, subject.entry((count + 1).to_string()), PutMode::Replace(stored.version)).await;
    matches!(put, PutResult::Stored(_))
}

pub(super) async fn a_deleted_key_is_not_replaced(subject: Subject) {
    for _ in 0..50 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        let (writer, deleter) = (subject.clone(), subject.clone());
        let write = tokio::spawn(async move { writer.put(key, writer.entry("late"), PutMode::Replace(version)).await });
        let delete = tokio::spawn(async move { deleter.delete(key).await });
        assert!(delete.await.expect("no panic"), "the key was there in any order");
        let _ = write.await.expect("no panic");
        assert_eq!(subject.get(key).await, None, "a replace brought a deleted key back");
    }
}

pub(super) async fn concurrent_touches_revive_no_deleted_key(subject: Subject) {
    for round in 0..50 {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        let toucher = subject.clone();
        let touch = tokio::spawn(async move {
            // The loop ends when the key is gone; the checks below detect a store that brings it back.
            for _ in 0..50 {
                if !toucher.touch(key, version, 2 * HOUR).await {
                    break;
                }
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        assert!(subject.delete(key).await, "the key was there in any order");
        touch.await.expect("no panic");
        assert_eq!(subject.get(key).await, None, "a touch brought a deleted key back");
    }
}

/// A value in which every byte identifies the write.
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

pub(super) async fn sweep_removes_no_live_key_beside_writers(subject: Subject) {
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
        assert!(subject.get(key).await.is_some(), "a sweep removed a live key");
    }
}

/// Another caller may create a key again between the moment in which a sweep finds it expired and the moment in which
/// the sweep removes it.
pub(super) async fn sweep_spares_a_recreated_key(subject: Subject) {
    let keys: Vec<_> = (0..200).map(|_| fresh_key()).collect();
    for key in &keys {
        subject.create(*key, subject.brief("old")).await;
    }
    subject.wait(PAST_BRIEF).await;
    let sweeper = subject.clone();
    let sweeping = tokio::spawn(async move { sweeper.sweep(50).await });
    for key in &keys {
        subject.create(*key, subject.entry("new")).await;
        tokio::task::yield_now().await;
    }
    sweeping.await.expect("no panic");
    for key in keys {
        assert_eq!(subject.value(key).await.as_deref(), Some(&b"new"[..]), "a sweep removed a recreated key");
    }
}
