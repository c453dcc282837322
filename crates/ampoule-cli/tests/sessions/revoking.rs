//! What `revoke` ends, beside others who write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ampoule::ErrorKind;
use ampoule::store::{Entry, Put, StoreKey, Time};

use crate::site::{Site, damage, err, finish, out};

#[tokio::test]
async fn sessions_end_by_key_and_by_principal() {
    let site = Site::new();
    for principal in [Some("user:1"), Some("user:1"), Some("user:2"), None] {
        site.session(principal, &[]).await;
    }
    assert_eq!(site.out(&["revoke", "--principal", "user:1"]), "2 sessions ended\n");
    let keys: Vec<String> = site.keys().await.iter().map(ToString::to_string).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(site.out(&["revoke", "--", &keys[0][..8], &keys[1]]), "2 sessions ended\n");
    assert_eq!(site.out(&["revoke", "--", &keys[0], &keys[1]]), "0 sessions ended, 2 already gone\n");
    assert_eq!(site.keys().await, []);
    let key = StoreKey::new([0xfb; 32]);
    let entry = Entry { value: "x".into(), deadline: Time::MAX, tag: None };
    let _ = site.store.put(key, entry, Put::Create).await.unwrap();
    assert_eq!(site.out(&["revoke", "--", &key.to_string()]), "1 session ended\n", "it starts with `-`");
}

#[tokio::test]
async fn all_end_only_when_that_is_said_twice() {
    let site = Site::new();
    for _ in 0..300 {
        site.session(None, &[]).await;
    }
    let refused = site.run(&["revoke", "--all"]);
    assert_eq!((refused.status.code(), out(&refused).as_str()), (Some(2), ""));
    assert!(err(&refused).contains("without one, say --yes"), "{}", err(&refused));
    assert_eq!(site.keys().await.len(), 300);
    assert_eq!(site.out(&["revoke", "--all", "--yes"]), "300 sessions ended\n");
    assert_eq!(site.keys().await, []);
    for usage in [
        &["revoke"][..],
        &["revoke", "--all", "--principal", "x"],
        &["revoke", "abcdef", "--all"],
        &["revoke", "--yes"],
    ] {
        assert_eq!(site.run(usage).status.code(), Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn a_damaged_record_can_be_ended() {
    let site = Site::new();
    site.session(Some("user:1"), &[]).await;
    site.session(Some("user:1"), &[]).await;
    let keys = site.keys().await;
    damage(&site.file(keys[0]));
    assert_eq!(site.out(&["revoke", "--", &keys[0].to_string()]), "1 session ended\n");
    damage(&site.file(keys[1]));
    assert_eq!(site.out(&["revoke", "--principal", "user:1"]), "1 session ended\n");
    assert_eq!(site.keys().await, []);
}

/// A client saves as fast as it can, and changes its id now and then. Once it is told that its session is gone, it must
/// never come back, under any id.
#[tokio::test(flavor = "multi_thread")]
async fn no_writer_brings_back_what_was_revoked() {
    for round in 0..5 {
        let site = Arc::new(Site::new());
        let mut headers = site.session(Some("user:42"), &[]).await;
        let (saves, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let writer = tokio::spawn({
            let (site, saves, over) = (Arc::clone(&site), Arc::clone(&saves), Arc::clone(&over));
            async move {
                while !over.load(Ordering::Relaxed) {
                    let session = site.layer.begin(&headers);
                    if session.get::<u32>("visits").await.unwrap().is_none() {
                        return;
                    }
                    session.update("visits", |visits: &mut u32| *visits += 1).await.unwrap();
                    let number = saves.fetch_add(1, Ordering::Relaxed);
                    if number % 3 == 2 {
                        session.regenerate_id();
                    }
                    match session.save().await {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::Gone => return,
                        Err(error) => panic!("{error}"),
                    }
                    let mut answer = http::HeaderMap::new();
                    match site.layer.finish(&session, http::StatusCode::OK, &mut answer).await {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::Gone => return,
                        Err(error) => panic!("{error}"),
                    }
                    if let Some(cookie) = answer.get("set-cookie") {
                        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
                        headers.insert("cookie", pair.parse().unwrap());
                    }
                }
            }
        });
        while saves.load(Ordering::Relaxed) < 20 + round * 7 {
            tokio::task::yield_now().await;
        }
        let output = site.command(&["revoke", "--principal", "user:42"]).output().unwrap();
        let seen = tokio::time::timeout(std::time::Duration::from_secs(10), writer).await;
        over.store(true, Ordering::Relaxed);
        assert!(output.status.success(), "{}", err(&output));
        assert!(out(&output).contains(" ended"), "{}", out(&output));
        seen.expect("the writer is told that its session is gone").unwrap();
        let live: Vec<_> = site.json(&["list"]).into_iter().filter(|line| line["state"] == "session").collect();
        assert!(live.is_empty(), "after {} saves: {live:?}", saves.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn a_session_is_ended_at_the_place_it_moved_to() {
    let site = Site::new();
    let headers = site.session(None, &[]).await;
    let old = site.keys().await[0];
    let session = site.layer.begin(&headers);
    session.insert("after", &true).unwrap();
    session.regenerate_id();
    let headers = finish(&site.layer, &session).await;
    assert_eq!(site.out(&["revoke", "--", &old.to_string()]), "1 session ended\n");
    assert_eq!(site.layer.begin(&headers).get::<bool>("after").await.unwrap(), None);
}
