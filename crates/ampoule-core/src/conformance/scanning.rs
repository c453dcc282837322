//! Scans of all keys.

use std::collections::HashSet;

use super::{Subject, fresh_key};
use crate::error::ErrorKind;
use crate::key::StoreKey;
use crate::store::Page;

async fn page(subject: &Subject, cursor: Option<&str>, budget: usize) -> Page {
    subject.store.scan(cursor, budget).await.unwrap_or_else(|error| panic!("scan from {cursor:?} failed: {error}"))
}

/// Reads all keys, in pages of about `budget` keys.
pub(super) async fn all(subject: &Subject, budget: usize) -> HashSet<StoreKey> {
    let mut seen = HashSet::new();
    let mut next: Option<String> = None;
    for _ in 0..1_000_000 {
        let page = page(subject, next.as_deref(), budget).await;
        seen.extend(page.keys);
        next = page.next;
        if next.is_none() {
            return seen;
        }
    }
    panic!("a scan did not end after a million pages");
}

async fn keys_of_its_own(subject: &Subject, count: usize) -> Vec<StoreKey> {
    let keys: Vec<_> = (0..count).map(|_| fresh_key()).collect();
    for key in &keys {
        subject.create(*key, subject.entry("x")).await;
    }
    keys
}

pub(super) async fn a_scan_returns_every_key(subject: Subject) {
    let keys = keys_of_its_own(&subject, 300).await;
    assert!(subject.delete(keys[0]).await);
    for budget in [1_000_000, 50] {
        let seen = all(&subject, budget).await;
        let missed = keys[1..].iter().filter(|key| !seen.contains(key)).count();
        assert_eq!(missed, 0, "a scan in pages of {budget} missed {missed} of 299 keys");
        assert!(!seen.contains(&keys[0]), "a scan returned a deleted key");
    }
}

/// Each page is requested with the text of the previous one's cursor, as another process would a day later.
pub(super) async fn a_scan_continues_at_its_cursor(subject: Subject) {
    let keys = keys_of_its_own(&subject, 100).await;
    let first = page(&subject, None, 10).await;
    let Some(next) = first.next else { return };
    assert!(
        !next.is_empty() && next.len() <= 256 && !next.contains(['\n', ' ']),
        "the cursor {next:?} is not a short text without blanks"
    );
    let mut seen: HashSet<_> = first.keys.into_iter().collect();
    let mut next = Some(next);
    while let Some(place) = next {
        let again = page(&subject, Some(&place), 10).await;
        seen.extend(again.keys);
        next = again.next;
    }
    assert!(keys.iter().all(|key| seen.contains(key)), "a scan in pages missed keys");
}

pub(super) async fn a_scan_misses_no_key_beside_a_writer(subject: Subject) {
    let keys = keys_of_its_own(&subject, 200).await;
    let writer = {
        let subject = subject.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let passing = keys_of_its_own(&subject, 20).await;
                tokio::task::yield_now().await;
                for key in passing {
                    subject.delete(key).await;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    while !writer.is_finished() {
        tokio::task::yield_now().await;
        let seen = all(&subject, 20).await;
        let missed = keys.iter().filter(|key| !seen.contains(key)).count();
        assert_eq!(missed, 0, "a scan beside a writer missed {missed} of 200 keys");
    }
    writer.await.unwrap_or_else(|panic| panic!("{panic}"));
}

pub(super) async fn a_scan_rejects_an_invalid_cursor(subject: Subject) {
    for cursor in ["no such cursor", "-1", "%"] {
        let error = subject.store.scan(Some(cursor), 10).await.expect_err("the store never returned this cursor");
        assert_eq!(error.kind(), ErrorKind::Invalid, "scan from {cursor:?}: {error}");
    }
}
