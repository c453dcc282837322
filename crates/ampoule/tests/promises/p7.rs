//! Saved is saved: data survives, damage is an error and not an empty session, and a save that cannot be found is an
//! error.

use ampoule_core::{PutMode, Store};
use http::StatusCode;

use crate::support::{BackendKind, Site};
use crate::{assert_ok, damage_last, on_each_place, on_each_store};

on_each_store! {
    p7_saved_data_survives_and_damage_is_an_error;
    p7_a_save_after_the_response_has_started;
}

on_each_place! {
    p7_a_save_that_needs_a_cookie_after_the_headers_is_an_error;
}

async fn p7_saved_data_survives_and_damage_is_an_error(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let (key, entry) = damage_last(&site).await;
    for (method, path) in [("GET", "/get/a"), ("GET", "/peek/a"), ("POST", "/set/b/2"), ("POST", "/count/n")] {
        let answer = client.send(method, path).await;
        assert_eq!((answer.status, answer.set_cookies()), (StatusCode::INTERNAL_SERVER_ERROR, vec![]), "{path}");
    }
    let _ = Store::put(&*site.spy, key, entry, PutMode::Always).await.unwrap();
    assert_eq!(
        (client.value("a").await, client.value("b").await),
        ("1".into(), "none".into()),
        "nothing was saved over it"
    );
}

/// A body that is streamed saves while it is sent.
async fn p7_a_save_after_the_response_has_started(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    client.get("/info").await;
    let answer = client.post("/stream/a").await;
    assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("saved", 0));
    assert_eq!((client.value("a").await, client.value("user").await), ("streamed".into(), "ada".into()));
    for what in ["regenerate", "rotate", "login"] {
        site.spy.calls();
        let token = client.cookie_header();
        let answer = client.post(&format!("/stream/{what}")).await;
        let said = if what == "regenerate" { "saved" } else { "invalid" };
        assert_eq!((answer.text.as_str(), answer.set_cookies().len()), (said, 0), "{what}");
        let [_, puts, ..] = site.spy.calls();
        assert_eq!(puts, usize::from(what == "regenerate"), "{what}");
        assert_eq!((client.value("a").await, client.value("user").await), ("streamed".into(), "ada".into()));
        assert_eq!(client.cookie_header(), token);
    }
    assert_eq!((client.post("/stream/take").await.text, client.value("a").await), ("saved".into(), "none".into()));
    assert_ok(&client.post("/set/b/1").await);
}

async fn p7_a_save_that_needs_a_cookie_after_the_headers_is_an_error(backend: BackendKind) {
    let site = Site::new(backend);
    for what in ["a", "login", "rotate"] {
        let answer = site.client().post(&format!("/stream/{what}")).await;
        assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("invalid", 0), "a new session: {what}");
    }
    let mut client = site.client();
    client.post("/set/a/1").await;
    for what in ["login", "rotate"] {
        let answer = client.post(&format!("/stream/{what}")).await;
        assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("invalid", 0), "{what}");
    }
    if backend == BackendKind::Cookie {
        // Every save of it needs a cookie.
        for what in ["a", "take"] {
            let answer = client.post(&format!("/stream/{what}")).await;
            assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("invalid", 0), "{what}");
        }
    }
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "none".into()));
}
