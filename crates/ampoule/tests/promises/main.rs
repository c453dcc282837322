//! The promises over HTTP, on every store and in cookies. The test names start with the promise.

#[path = "../support/mod.rs"]
mod support;

mod p1;
mod p10;
mod p11;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p7;
mod p8;
mod p9;

use std::collections::HashSet;

use ampoule_core::{Entry, PutMode, Store, StoreKey};
use http::StatusCode;
use support::site::{Gate, gate};
use support::{Answer, BackendKind, Client, Site};
use tokio::task::{JoinHandle, JoinSet};

/// A request that waits at a gate.
struct SlowRequest {
    gate: Gate,
    answer: JoinHandle<Answer>,
}

impl SlowRequest {
    /// Starts a request and returns when it waits at its gate, whose name is appended to the path. The name contains
    /// the test, since gates are shared by the whole program.
    async fn start(client: &Client, method: &'static str, path: &str, test: &str, backend: BackendKind) -> SlowRequest {
        let name = format!("{test}-{backend:?}");
        let gate = gate(&name).await;
        let (client, path) = (client.clone(), format!("{path}{name}"));
        let answer = tokio::spawn(async move { client.ask(method, &path, client.cookie_header()).await });
        gate.loaded.acquire().await.unwrap().forget();
        SlowRequest { gate, answer }
    }

    async fn post(client: &Client, path: &str, test: &str, backend: BackendKind) -> SlowRequest {
        SlowRequest::start(client, "POST", path, test, backend).await
    }

    async fn get(client: &Client, path: &str, test: &str, backend: BackendKind) -> SlowRequest {
        SlowRequest::start(client, "GET", path, test, backend).await
    }

    /// Opens the gate and returns the response.
    async fn finish(self) -> Answer {
        self.gate.go_on.add_permits(1);
        self.answer.await.unwrap()
    }

    /// Drops the request, as a server does when its client disconnects.
    async fn drop(self) {
        self.answer.abort();
        assert!(self.answer.await.unwrap_err().is_cancelled());
    }
}

async fn at_once(client: &Client, paths: impl Iterator<Item = String>) {
    let mut tasks = JoinSet::new();
    for path in paths {
        let mut client = client.clone();
        tasks.spawn(async move { client.post(&path).await.status });
    }
    for status in tasks.join_all().await {
        assert_eq!(status, StatusCode::OK);
    }
}

/// Asserts that a request was refused since it came too late, and that the response does not change the client's
/// cookie.
#[track_caller]
fn assert_too_late(answer: &Answer) {
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::CONFLICT, vec![]), "{}", answer.text);
}

#[track_caller]
fn assert_ok(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

/// The keys that this site has written and that still have a value.
async fn live_keys(site: &Site) -> Vec<StoreKey> {
    let keys: HashSet<StoreKey> = site.spy.written.lock().unwrap().iter().map(|(key, _)| *key).collect();
    let mut live = Vec::new();
    for key in keys {
        if Store::get(&*site.spy, key).await.unwrap().is_some() {
            live.push(key);
        }
    }
    live
}

/// What was last written, and half of it in its place.
async fn damage_last(site: &Site) -> (StoreKey, Entry) {
    let (key, entry) = site.spy.written.lock().unwrap().last().cloned().unwrap();
    let torn = Entry { value: entry.value.slice(..entry.value.len() / 2), ..entry.clone() };
    let _ = Store::put(&*site.spy, key, torn, PutMode::Always).await.unwrap();
    (key, entry)
}
