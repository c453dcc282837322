//! The promises, over HTTP, wherever a session can be kept. A test's name says which promise it proves.

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
use support::{Answer, Client, Place, Site};
use tokio::task::{JoinHandle, JoinSet};

/// A request that waits at a gate.
struct Slow {
    gate: Gate,
    answer: JoinHandle<Answer>,
}

impl Slow {
    /// Starts a request that waits at a gate of its own, and returns once it is there. The path ends where the gate's name
    /// is to stand; the test is part of the name, since gates belong to the whole program.
    async fn start(client: &Client, method: &'static str, path: &str, test: &str, place: Place) -> Slow {
        let name = format!("{test}-{place:?}");
        let gate = gate(&name).await;
        let (client, path) = (client.clone(), format!("{path}{name}"));
        let answer = tokio::spawn(async move { client.ask(method, &path, client.cookie_header()).await });
        gate.loaded.acquire().await.unwrap().forget();
        Slow { gate, answer }
    }

    async fn post(client: &Client, path: &str, test: &str, place: Place) -> Slow {
        Slow::start(client, "POST", path, test, place).await
    }

    async fn get(client: &Client, path: &str, test: &str, place: Place) -> Slow {
        Slow::start(client, "GET", path, test, place).await
    }

    /// Lets the request go on, and returns what comes of it.
    async fn finish(self) -> Answer {
        self.gate.go_on.add_permits(1);
        self.answer.await.unwrap()
    }

    /// Gives the request up, as a server does when its client hangs up.
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

/// That a request was refused since it came too late, and that its client is told nothing that would cost it a cookie.
#[track_caller]
fn assert_too_late(answer: &Answer) {
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::CONFLICT, vec![]), "{}", answer.text);
}

#[track_caller]
fn assert_ok(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

/// The keys that this site has written and that still hold something.
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
