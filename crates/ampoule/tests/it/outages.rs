//! Promise P10 during an outage of the store: which requests work without it, which fail fast, and that sessions are
//! unchanged after it.

use std::time::Duration;

use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, Site};
use ampoule::OutagePolicy;
use http::StatusCode;

fn anonymous(backend: BackendKind) -> Site {
    Site::with(backend, |options| {
        options.on_outage = OutagePolicy::Anonymous;
        options.fail_fast_after = 0;
    })
}

#[tokio::test]
async fn p10_pages_are_anonymous_during_an_outage_by_option() {
    let site = anonymous(BackendKind::Memory);
    let mut client = site.client();
    client.post("/login/ada").await;
    let cookie = client.cookie_header();
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    let page = client.get("/get/user").await;
    assert_eq!((page.status, page.text.as_str(), page.set_cookies().len()), (StatusCode::OK, "none", 0));
    assert!(page.headers["cache-control"] == "no-store" && page.headers["vary"] == "Cookie");
    assert_eq!(client.get("/reachable").await.text, "false");
    // Its user has logged in, and must not be sent to the login page.
    assert_eq!(client.get("/required").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(client.get("/info").await.text.starts_with("new=true len=0 keys= "));
    for path in ["/set/a/1", "/login/eve", "/logout", "/restart", "/count/n"] {
        let answer = client.post(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path} must not pretend");
        assert_eq!((answer.headers["retry-after"].to_str().unwrap(), answer.set_cookies().len()), ("1", 0), "{path}");
    }
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(
        (client.cookie_header(), client.value("user").await),
        (cookie, "ada".into()),
        "the session was left alone"
    );
    assert_eq!(client.get("/reachable").await.text, "true");
    assert_eq!(client.get("/required").await.text, "ada");
}

/// The store is back before the request ends: a request that started without the session must not overwrite it.
#[tokio::test]
async fn p10_a_request_that_started_without_its_session_never_overwrites_it() {
    let site = anonymous(BackendKind::Memory);
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    let gate = crate::support::site::gate("began-without").await;
    let mut slow = client.clone();
    let slow = tokio::spawn(async move { slow.post("/slow/a/over/began-without").await });
    gate.loaded.acquire().await.unwrap().forget();
    site.spy.set_behaviour(StoreBehaviour::Works);
    gate.go_on.add_permits(1);
    let answer = slow.await.unwrap();
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(client.value("a").await, "1");
}

#[tokio::test]
async fn p10_with_auto_save_a_page_is_shown_and_nothing_saved() {
    let site = Site::with(BackendKind::Memory, |options| {
        options.on_outage = OutagePolicy::Anonymous;
        options.auto_save = true;
    });
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(client.get("/get/a").await.text, "none");
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(client.value("a").await, "1");
}

/// Requests do not pile up while the store is down: after five that timed out, the others fail at once.
#[tokio::test(start_paused = true)]
async fn p10_after_repeated_failures_requests_fail_fast() {
    let site = Site::with(BackendKind::Memory, |options| options.store_timeout = Some(Duration::from_secs(2)));
    let mut client = site.client();
    client.post("/login/ada").await;
    site.spy.calls();
    site.spy.set_behaviour(StoreBehaviour::Hangs);
    let started = tokio::time::Instant::now();
    for _ in 0..50 {
        assert_eq!(client.get("/get/user").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(started.elapsed(), Duration::from_secs(10), "five waits of two seconds, and 45 of none");
    assert_eq!(site.spy.calls(), [5, 0, 0, 0]);
    assert_eq!(client.get("/").await.status, StatusCode::OK, "who needs no session notices nothing");
    site.spy.set_behaviour(StoreBehaviour::Works);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.value("user").await, "ada", "and it recovers by itself");
}
