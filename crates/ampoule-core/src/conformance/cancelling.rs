//! Cancelled callers: a future is dropped at each point at which it waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::{HOUR, Subject, fresh_key};
use crate::key::{StoreKey, Tag};
use crate::reply::Reply;
use crate::store::{PutMode, PutResult};

/// An operation that has to be polled more often than this is not polled further.
const MAX_POLLS: usize = 50;

/// How long the next operation may take after a future was dropped before the store counts as hung.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Polls a future this many times, each time after it was woken, and then drops it. Returns whether it was ready before
/// that.
async fn poll_and_drop<T>(mut future: Reply<'_, T>, polls: usize) -> bool {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match Pin::new(&mut future).poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn within_timeout<T>(polls: usize, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(TIMEOUT, work).await;
    done.unwrap_or_else(|_| panic!("the store hangs after a future was dropped at poll {polls}"))
}

pub(super) async fn a_dropped_put_leaves_the_old_or_the_new_value(subject: Subject) {
    for polls in 0..MAX_POLLS {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("old")).await;
        let ended = poll_and_drop(subject.store.put(key, subject.entry("new"), PutMode::Replace(version)), polls).await;
        within_timeout(polls, is_old_or_new(&subject, key)).await;
        within_timeout(polls, a_later_write_stays(&subject, key)).await;
        subject.delete(key).await;
        if ended {
            return;
        }
    }
}

async fn is_old_or_new(subject: &Subject, key: StoreKey) {
    let value = subject.value(key).await.expect("a dropped put removed the key");
    assert!(["old", "new"].map(str::as_bytes).contains(&&value[..]), "a dropped put left {value:?}");
}

/// A value that is written after a put was dropped stays, even if that put was still in progress.
async fn a_later_write_stays(subject: &Subject, key: StoreKey) {
    loop {
        let stored = subject.get(key).await.expect("a dropped put removed the key");
        if let PutResult::Stored(_) = subject.put(key, subject.entry("last"), PutMode::Replace(stored.version)).await {
            break;
        }
        tokio::task::yield_now().await;
    }
    subject.sweep(1_000).await;
    assert_eq!(subject.value(key).await.as_deref(), Some(&b"last"[..]), "a dropped put overwrote a later one");
}

pub(super) async fn a_dropped_touch_leaves_the_value(subject: Subject) {
    for polls in 0..MAX_POLLS {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        let ended = poll_and_drop(subject.store.touch(key, version, 3 * HOUR), polls).await;
        let stored = within_timeout(polls, subject.get(key)).await.expect("a dropped touch removed the key");
        assert_eq!((&stored.value[..], stored.version), (&b"x"[..], version), "a dropped touch changed the value");
        within_timeout(polls, subject.replace(key, subject.entry("y"), version)).await;
        subject.delete(key).await;
        if ended {
            return;
        }
    }
}

pub(super) async fn a_dropped_delete_is_done_or_not(subject: Subject) {
    for polls in 0..MAX_POLLS {
        let key = fresh_key();
        let version = subject.create(key, subject.entry("x")).await;
        let ended = poll_and_drop(subject.store.delete(key), polls).await;
        let stored = within_timeout(polls, subject.get(key)).await;
        assert!(stored.is_none_or(|stored| stored.version == version), "a dropped delete changed the value");
        within_timeout(polls, recreate(&subject, key)).await;
        if ended {
            return;
        }
    }
}

/// The key can be deleted and created again, once the dropped delete has ended.
async fn recreate(subject: &Subject, key: StoreKey) {
    subject.delete(key).await;
    while subject.put(key, subject.entry("again"), PutMode::Create).await == PutResult::Conflict {
        subject.delete(key).await;
        tokio::task::yield_now().await;
    }
}

pub(super) async fn dropped_reads_and_sweeps_change_nothing(subject: Subject) {
    let (key, tag) = (fresh_key(), Tag::new(*fresh_key().as_bytes()));
    let mut entry = subject.entry("x");
    entry.tag = Some(tag);
    let version = subject.create(key, entry.clone()).await;
    for polls in 0..MAX_POLLS {
        let read = poll_and_drop(subject.store.get(key), polls).await;
        let found = poll_and_drop(subject.store.keys_with_tag(tag), polls).await;
        let swept = poll_and_drop(subject.store.sweep(1_000), polls).await;
        let stored = within_timeout(polls, subject.get(key)).await.expect("the key is there");
        assert_eq!((&stored.value[..], stored.version), (&b"x"[..], version), "a dropped reader changed the value");
        let keys = within_timeout(polls, subject.store.keys_with_tag(tag)).await.expect("keys_with_tag works");
        assert_eq!(keys, [key], "a dropped reader changed the tag");
        if read && found && swept {
            break;
        }
    }
    within_timeout(MAX_POLLS, subject.replace(key, entry, version)).await;
    subject.delete(key).await;
}
