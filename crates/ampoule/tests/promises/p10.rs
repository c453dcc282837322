//! Explicit outages: a clear error within a time limit, only for requests that need the session.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;

use crate::on_each_store;
use crate::support::site::gate;
use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, SECOND, Site};

on_each_store! {
    p10_an_outage_is_an_explicit_error;
    p10_a_hung_store_times_out;
    p10_writers_that_wait_for_each_other_share_one_limit;
}

async fn p10_an_outage_is_an_explicit_error(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    let cookie = client.cookie_header();
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(client.get("/").await.status, StatusCode::OK, "who needs no session notices nothing");
    for path in ["/set/a/1", "/logout", "/count/n", "/login/eve"] {
        let answer = client.post(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!((answer.headers["retry-after"].to_str().unwrap(), answer.set_cookies().len()), ("1", 0));
        assert!(answer.text.contains("try again"), "{}", answer.text);
    }
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(client.cookie_header(), cookie);
    assert_eq!(client.value("user").await, "ada", "the session was never taken for empty");
}

async fn p10_a_hung_store_times_out(backend: BackendKind) {
    let site = Site::with(backend, |options| options.store_timeout = Some(Duration::from_secs(1)));
    let mut client = site.client();
    client.post("/login/ada").await;
    site.spy.set_behaviour(StoreBehaviour::Hangs);
    let answer = client.get("/get/user").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(client.value("user").await, "ada");
    assert!(site.spy.gets.load(Ordering::SeqCst) >= 2);
}

const WRITERS: u32 = 20;

async fn release_writers_to_a_hung_store(site: &Site, name: &str) {
    let mut client = site.client();
    client.post("/set/a/1").await;
    let gate = gate(name).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (client, path) = (client.clone(), format!("/slow/key{number}/1/{name}"));
        writers.spawn(async move { client.ask("POST", &path, client.cookie_header()).await });
    }
    gate.loaded.acquire_many(WRITERS).await.unwrap().forget();
    site.spy.set_behaviour(StoreBehaviour::Hangs);
    site.spy.calls();
    gate.go_on.add_permits(WRITERS as usize);
    for answer in writers.join_all().await {
        assert_eq!((answer.status, answer.set_cookies()), (StatusCode::SERVICE_UNAVAILABLE, vec![]));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(client.value("a").await, "1");
}

/// A second for each of them would be twenty.
async fn p10_writers_that_wait_for_each_other_share_one_limit(backend: BackendKind) {
    let site = Site::with(backend, |options| {
        options.store_timeout = Some(SECOND);
        options.fail_fast_after = 0;
    });
    let name = format!("hung-{backend:?}");
    let done = release_writers_to_a_hung_store(&site, &name);
    tokio::time::timeout(10 * SECOND, done).await.expect("every writer is answered in about a second");
    let [_, puts, ..] = site.spy.calls();
    // Their limits end one after the other, within a moment, and each that gets the lock before its own tries once.
    assert!((1..=WRITERS as usize).contains(&puts), "{puts} writes were tried while {WRITERS} waited");
}

/// The same with a clock that only advances when all tasks are idle: exact to the millisecond.
#[tokio::test(start_paused = true)]
async fn p10_no_writer_waits_longer_than_the_limit() {
    let site = Site::with(BackendKind::Memory, |options| {
        options.store_timeout = Some(SECOND);
        options.fail_fast_after = 0;
    });
    let started = tokio::time::Instant::now();
    release_writers_to_a_hung_store(&site, "hung-paused").await;
    assert!(started.elapsed() <= SECOND + Duration::from_millis(5), "{:?}", started.elapsed());
}
