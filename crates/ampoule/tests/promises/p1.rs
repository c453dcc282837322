//! No lost update: requests that run at once on one session lose nothing.

use crate::support::{BackendKind, Site};
use crate::{SlowRequest, assert_ok, at_once, on_each_store};
use tokio::task::JoinSet;

on_each_store! {
    p1_no_lost_update_of_different_keys;
    p1_no_lost_update_of_a_counter;
    p1_the_later_commit_of_one_key_wins;
    p1_a_slow_request_keeps_the_changes_of_others;
    p1_only_one_of_all_requests_takes_a_value;
}

async fn p1_no_lost_update_of_different_keys(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/first/yes").await;
    at_once(&client, (0..64).map(|n| format!("/set/key{n}/{n}"))).await;
    for n in 0..64 {
        assert_eq!(client.value(&format!("key{n}")).await, n.to_string());
    }
    assert_eq!(client.value("first").await, "yes");
}

async fn p1_no_lost_update_of_a_counter(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/count/n").await;
    at_once(&client, (0..64).map(|_| "/count/n".to_owned())).await;
    assert_eq!(client.value("n").await, "65");
}

async fn p1_the_later_commit_of_one_key_wins(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/0").await;
    let slow = SlowRequest::post(&client, "/slow/a/late/", "later", backend).await;
    client.post("/set/a/early").await;
    assert_ok(&slow.finish().await);
    assert_eq!(client.value("a").await, "late");
}

async fn p1_a_slow_request_keeps_the_changes_of_others(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let slow = SlowRequest::post(&client, "/slow/b/2/", "keeps", backend).await;
    client.post("/set/c/3").await;
    assert_ok(&slow.finish().await);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
}

/// A voucher can be used once, even by concurrent requests, whose other changes are kept.
async fn p1_only_one_of_all_requests_takes_a_value(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/voucher/ten").await;
    client.post("/set/cart/7").await;
    let mut requests = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        let path = if number % 8 == 0 { "/count/n" } else { "/take/voucher" };
        requests.spawn(async move { (path, client.ask("POST", path, client.cookie_header()).await) });
    }
    let mut taken = Vec::new();
    for (path, answer) in requests.join_all().await {
        assert_ok(&answer);
        if path == "/take/voucher" {
            taken.push(answer.text);
        }
    }
    taken.sort();
    assert_eq!((taken.len(), taken[..55].iter().all(|taken| taken == "none"), &*taken[55]), (56, true, "ten"));
    for (key, value) in [("voucher", "none"), ("cart", "7"), ("n", "8")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
    assert_eq!(client.post("/take/voucher").await.text, "none");
}
