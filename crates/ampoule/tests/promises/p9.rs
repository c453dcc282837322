//! Bounded: memory, keys, values and sweeps.

use http::StatusCode;

use crate::support::{BackendKind, HOUR, SECOND, Site};
use crate::{live_keys, on_backends, on_each_place, on_each_store};

on_each_place! {
    p9_a_session_is_bounded;
}

on_each_store! {
    p9_ended_sessions_leave_no_records;
}

on_backends! {
    p9_expired_sessions_are_removed on Memory File Sealed Sqlite Postgres MySql;
}

async fn p9_a_session_is_bounded(backend: BackendKind) {
    let site = Site::with(backend, |options| options.max_record_size = 10_000);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let long = "x".repeat(12_000);
    let answer = client.post(&format!("/set/b/{long}")).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        (client.value("a").await, client.value("b").await),
        ("1".into(), "none".into()),
        "the old session stands"
    );
    let answer = client.post(&format!("/set/{}/1", "k".repeat(256))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

async fn p9_expired_sessions_are_removed(backend: BackendKind) {
    let site = Site::new(backend);
    for _ in 0..20 {
        site.client().post("/set/a/1").await;
    }
    let mut living = site.client();
    site.clock.advance(12 * HOUR);
    living.post("/set/a/1").await;
    site.clock.advance(12 * HOUR);
    let mut removed = 0;
    loop {
        let swept = site.layer.sweep(1_000).await.unwrap();
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    assert_eq!(removed, 20);
    assert_eq!(living.value("a").await, "1");
}

/// Tombstones, unconfirmed logins and frozen sessions expire.
async fn p9_ended_sessions_leave_no_records(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    for path in ["/set/a/1", "/login/ada", "/set/a/2", "/login/ada", "/regenerate", "/set/a/3", "/logout"] {
        client.post(path).await;
    }
    assert!(!live_keys(&site).await.is_empty(), "tombstones, for the grace");
    site.clock.advance(6 * SECOND);
    assert_eq!(live_keys(&site).await, []);
    client.post("/set/a/1").await;
    client.ask("POST", "/login/ada", client.cookie_header()).await;
    assert_eq!(live_keys(&site).await.len(), 2, "the frozen session, and the login whose response was lost");
    site.clock.advance(25 * HOUR);
    assert_eq!(live_keys(&site).await, []);
}
