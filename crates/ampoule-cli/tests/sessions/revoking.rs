//! `revoke`, also with concurrent writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ampoule::store::{Entry, PutMode};
use ampoule::{ErrorKind, SessionId, SessionLayer};
use http::{HeaderMap, StatusCode};

use crate::site::{Site, damage, err, finish, options, out};

#[tokio::test]
async fn sessions_end_by_id_and_by_principal() {
    let site = Site::new();
    for principal in [Some("user:1"), Some("user:1"), Some("user:2"), None] {
        site.session(principal, &[]).await;
    }
    assert_eq!(site.out(&["revoke", "--principal", "user:1"]), "2 sessions ended\n");
    let ids: Vec<String> = site.ids().await.iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(site.out(&["revoke", "--", &ids[0][..8], &ids[1]]), "2 sessions ended\n");
    assert_eq!(site.out(&["revoke", "--", &ids[0], &ids[1]]), "0 sessions ended, 2 already gone\n");
    assert_eq!(site.out(&["revoke", "--json", "--", &ids[0]]), "{\"ended\":0,\"already_gone\":1}\n");
    assert_eq!(site.ids().await, []);
    let id = SessionId::new([0xfb; 16]);
    let entry = Entry { value: "x".into(), lifetime: Duration::MAX, tag: None };
    let _ = site.store.put(id.into(), entry, PutMode::Create).await.unwrap();
    assert_eq!(site.out(&["revoke", "--", &id.to_string()]), "1 session ended\n", "it starts with `-`");
}

/// With the name of a cookie, only the sessions of that layer are revoked; without it, those of all layers of the
/// store.
#[tokio::test]
async fn a_principal_may_have_sessions_in_several_layers() {
    let site = Site::new();
    let mut other = options();
    other.cookie.name = "admin".to_owned();
    let admin = SessionLayer::new(Arc::clone(&site.store), other).unwrap();
    for layer in [&site.layer, &admin, &admin] {
        let session = layer.begin(&HeaderMap::new());
        session.login("user:42").await.unwrap();
        finish(layer, &session).await;
    }
    site.session(Some("user:7"), &[]).await;
    assert_eq!(site.json(&["list", "--principal", "user:42"]).len(), 3);
    let of_admin = ["--principal", "user:42", "--session", admin.name()];
    let listed = site.json(&[&["list"], &of_admin[..]].concat());
    assert_eq!(listed.iter().map(|line| &line["layer"]).collect::<Vec<_>>(), [admin.name(), admin.name()]);
    assert_eq!(site.out(&[&["revoke"], &of_admin[..]].concat()), "2 sessions ended\n");
    assert_eq!(site.out(&["revoke", "--principal", "user:42"]), "1 session ended\n");
    assert_eq!(site.ids().await.len(), 1, "another user's stays");
}

/// Principals may share a tag.
#[tokio::test]
async fn a_session_of_another_principal_with_the_same_tag_stays() {
    let site = Site::new();
    site.session(Some("user:7"), &[]).await;
    let id = site.ids().await[0];
    let stored = site.store.get(id.into()).await.unwrap().unwrap();
    let entry = Entry { value: stored.value, lifetime: Duration::from_secs(60), tag: Some(site.tag("user:42")) };
    let _ = site.store.put(id.into(), entry, PutMode::Replace(stored.version)).await.unwrap();
    let of = ["--principal", "user:42", "--session", site.layer.name()];
    assert_eq!(site.json(&[&["list"], &of[..]].concat()).len(), 0);
    assert_eq!(site.out(&[&["revoke"], &of[..]].concat()), "0 sessions ended\n");
    assert_eq!(site.ids().await, [id]);
}

#[tokio::test]
async fn revoking_all_needs_a_confirmation() {
    let site = Site::new();
    for _ in 0..300 {
        site.session(None, &[]).await;
    }
    let refused = site.run(&["revoke", "--all"]);
    assert_eq!((refused.status.code(), out(&refused).as_str()), (Some(2), ""));
    assert!(err(&refused).contains("without one, write --yes"), "{}", err(&refused));
    assert_eq!(site.ids().await.len(), 300);
    assert_eq!(site.out(&["revoke", "--all", "--yes"]), "300 sessions ended\n");
    assert_eq!(site.ids().await, []);
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
async fn a_damaged_session_can_be_revoked() {
    let site = Site::new();
    site.session(Some("user:1"), &[]).await;
    site.session(Some("user:1"), &[]).await;
    let ids = site.ids().await;
    damage(&site.file(ids[0]));
    assert_eq!(site.out(&["revoke", "--", &ids[0].to_string()]), "1 session ended\n");
    damage(&site.file(ids[1]));
    // Found by its tag, since the record cannot be read.
    let of_layer = ["revoke", "--principal", "user:1", "--session", site.layer.name()];
    assert_eq!(site.out(&of_layer), "1 session ended\n");
    assert_eq!(site.ids().await, []);
}

/// A client saves in a loop, and sometimes rotates its secret or logs in. After a save has returned that the session is
/// gone, no token must open it again.
#[tokio::test(flavor = "multi_thread")]
async fn no_concurrent_writer_restores_a_revoked_session() {
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
                    match number % 6 {
                        2 => session.regenerate_id(),
                        5 => session.login("user:42").await.unwrap(),
                        _ => {}
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
        let seen = tokio::time::timeout(Duration::from_secs(10), writer).await;
        over.store(true, Ordering::Relaxed);
        assert!(output.status.success(), "{}", err(&output));
        assert!(out(&output).contains(" ended"), "{}", out(&output));
        assert!(seen.is_ok(), "the writer is told that its session is gone: {}", out(&output));
        seen.unwrap().unwrap();
        let live: Vec<_> = site.json(&["list"]).into_iter().filter(|line| line["state"] == "session").collect();
        assert!(live.is_empty(), "after {} saves: {live:?}", saves.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn a_rotated_session_can_be_revoked_and_requests_in_progress_save_nothing() {
    let site = Site::new();
    let first = site.session(None, &[]).await;
    let id = site.ids().await[0];
    let session = site.layer.begin(&first);
    session.insert("after", true).unwrap();
    session.regenerate_id();
    let second = finish(&site.layer, &session).await;
    assert_eq!(site.ids().await, [id], "the id is that of before the rotation");
    let under_way = site.layer.begin(&second);
    assert_eq!(under_way.get::<bool>("after").await.unwrap(), Some(true));

    assert_eq!(site.out(&["revoke", "--", &id.to_string()]), "1 session ended\n");
    for headers in [&first, &second] {
        assert_eq!(site.layer.begin(headers).get::<bool>("after").await.unwrap(), None);
    }
    under_way.insert("late", true).unwrap();
    assert_eq!(under_way.save().await.unwrap_err().kind(), ErrorKind::Gone);
    let mut answer = HeaderMap::new();
    site.layer.finish(&under_way, StatusCode::CONFLICT, &mut answer).await.unwrap();
    assert!(!answer.contains_key("set-cookie"), "{answer:?}");
    assert_eq!(site.ids().await, []);
    assert!(site.out(&["list"]).starts_with("no sessions in "), "what it left is not listed");
}
