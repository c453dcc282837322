//! No lock-out: from every state a client that keeps using its cookies reaches a working session, and a login succeeds.

use ampoule_core::Store;
use axum::Router;
use http::StatusCode;

use crate::support::browser::{Browser, Cookie};
use crate::support::site::routes;
use crate::support::{BackendKind, Client, SECOND, Site};
use crate::{assert_ok, assert_too_late, damage_last, on_each_place, on_each_store};

on_each_store! {
    p11_a_changed_domain_keeps_the_session;
    p11_a_changed_domain_and_a_dead_cookie;
    p11_dead_tokens_do_not_hide_a_live_one;
    p11_many_dead_tokens_do_not_prevent_a_login;
    p11_dead_tokens_of_deep_paths_do_not_prevent_a_login;
    p11_a_damaged_session_does_not_lock_out_its_client;
    p11_a_lost_response_to_a_logout;
}

on_each_place! {
    p11_cookies_of_two_sessions_are_ignored_and_expired;
    p11_garbage_does_not_hide_the_session;
}

const HOST: &str = "www.site.test";

fn with_domain(site: &Site) -> Site {
    site.beside(|options| options.cookie.domain = Some("site.test".into()))
}

/// The token of a session of its own, with `a` set to this.
async fn session(site: &Site, a: &str) -> Client {
    let mut client = site.client();
    client.post(&format!("/set/a/{a}")).await;
    client
}

fn domains(browser: &Browser) -> Vec<Option<&str>> {
    browser.cookies.iter().map(|cookie| cookie.domain.as_deref()).collect()
}

/// Both cookies are of one session, or of a session and its login.
async fn p11_a_changed_domain_keeps_the_session(backend: BackendKind) {
    for (change, user) in [("/regenerate", "none"), ("/login/ada", "ada")] {
        let before = Site::new(backend);
        let mut browser = Browser::new(&before.app, HOST);
        browser.post("/set/a/1").await;
        let after = with_domain(&before);
        let mut browser = browser.at(&after.app);
        assert_eq!(browser.value("a").await, "1");
        assert_eq!(domains(&browser), [None], "a cookie that is good stays");
        assert_ok(&browser.post(change).await);
        assert_eq!(domains(&browser), [None, Some("site.test")]);
        assert_eq!(
            (browser.value("a").await, browser.value("user").await),
            ("1".into(), user.into()),
            "the newest counts"
        );
        assert_eq!(domains(&browser), [Some("site.test")], "the other scope is expired");
        let next = browser.get("/get/a").await;
        assert_eq!((next.text.as_str(), next.set_cookies().len()), ("1", 0), "and the next request is clean");
        before.clock.advance(6 * SECOND);
        assert_ok(&browser.post("/set/a/2").await);
        assert_eq!(browser.value("a").await, "2");
        assert_ok(&browser.post("/logout").await);
        assert_eq!(browser.cookies, []);
    }
}

async fn p11_a_changed_domain_and_a_dead_cookie(backend: BackendKind) {
    for wait in [0, 6] {
        for (first, user) in [("/set/b/2", "none"), ("/login/ada", "ada")] {
            let before = Site::new(backend);
            let mut ended = session(&before, "old").await;
            let mut browser = Browser::new(&before.app, HOST);
            browser.plant(Cookie::new(&ended.jar["sid"], None, "/"));
            ended.post("/logout").await;
            let after = with_domain(&before);
            let mut browser = browser.at(&after.app);
            assert_eq!(browser.value("a").await, "none");
            if wait == 0 && first.starts_with("/set") {
                // A slow request must not overwrite a cookie with an anonymous session.
                assert_eq!(browser.post(first).await.status, StatusCode::CONFLICT);
                continue;
            }
            before.clock.advance(wait * SECOND);
            assert_ok(&browser.post(first).await);
            assert_eq!(
                domains(&browser),
                [None, Some("site.test")],
                "one token came, so none is known to be in the way"
            );
            assert_eq!((browser.value("user").await, browser.value("a").await), (user.into(), "none".into()));
            assert_ok(&browser.post("/set/c/3").await);
            assert_eq!(domains(&browser), [Some("site.test")]);
            assert_eq!(browser.value("c").await, "3");
            assert_eq!(browser.get("/get/c").await.set_cookies(), [""; 0]);
        }
    }
}

/// One for the host, one for the domain, of different sessions.
async fn p11_cookies_of_two_sessions_are_ignored_and_expired(backend: BackendKind) {
    for (method, path) in [("GET", "/get/a"), ("GET", "/a/b/c/d/e/get/a"), ("GET", "/info")] {
        let site = with_domain(&Site::new(backend));
        let (mut one, mut other) = (session(&site, "one").await, session(&site, "other").await);
        let mut browser = Browser::new(&site.app, HOST);
        browser.plant(Cookie::new(&one.jar["sid"], None, "/"));
        browser.plant(Cookie::new(&other.jar["sid"], Some("site.test"), "/"));
        let answer = browser.send(method, path).await;
        assert_ok(&answer);
        assert!(answer.text == "none" || answer.text.starts_with("new=true"), "{}", answer.text);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(browser.cookies, [], "both scopes are expired: {:?}", answer.set_cookies());
        assert_eq!(browser.get("/get/a").await.set_cookies(), [""; 0]);
        assert_ok(&browser.post("/login/ada").await);
        assert_eq!((browser.value("user").await, domains(&browser)), ("ada".into(), vec![Some("site.test")]));
        assert_eq!(
            (one.value("a").await, other.value("a").await),
            ("one".into(), "other".into()),
            "they are as they were"
        );
    }
    // The first request may be the login itself.
    let site = with_domain(&Site::new(backend));
    let (one, other) = (session(&site, "one").await, session(&site, "other").await);
    let mut browser = Browser::new(&site.app, HOST);
    browser.plant(Cookie::new(&one.jar["sid"], None, "/"));
    browser.plant(Cookie::new(&other.jar["sid"], Some("site.test"), "/"));
    assert_ok(&browser.post("/login/ada").await);
    assert_eq!(domains(&browser), [Some("site.test")]);
    let next = browser.get("/get/user").await;
    assert_eq!((next.text.as_str(), next.set_cookies().len()), ("ada", 0));
    assert_eq!(browser.value("a").await, "none", "nothing of either came along");
}

async fn p11_garbage_does_not_hide_the_session(backend: BackendKind) {
    let site = with_domain(&Site::new(backend));
    let mut browser = Browser::new(&site.app, HOST);
    let forged = "A".repeat(64);
    for (value, domain, path) in [
        ("garbage", None, "/"),
        ("", None, "/get"),
        (&*forged, Some("www.site.test"), "/"),
        ("\"quoted\"", None, "/set"),
        ("%00", Some("site.test"), "/get"),
    ] {
        browser.plant(Cookie::new(value, domain, path));
    }
    for path in ["/get/user", "/set/x/y", "/"] {
        assert_ok(&browser.send(if path.starts_with("/set") { "POST" } else { "GET" }, path).await);
    }
    assert_ok(&browser.post("/login/ada").await);
    assert_eq!(browser.value("user").await, "ada");
    assert_ok(&browser.post("/set/a/1").await);
    assert_eq!((browser.value("a").await, browser.value("x").await), ("1".into(), "y".into()));
    assert_ok(&browser.post("/logout").await);
    assert_eq!(browser.value("user").await, "none");
    assert_ok(&browser.post("/login/eve").await);
    assert_eq!((browser.value("user").await, browser.value("a").await), ("eve".into(), "none".into()));
}

/// A browser with this number of ended sessions' tokens in deep paths, before a live one.
async fn with_dead(site: &Site, count: usize) -> Browser {
    let mut browser = Browser::new(&site.app, HOST);
    let live = session(site, "live").await;
    browser.plant(Cookie::new(&live.jar["sid"], Some("site.test"), "/"));
    let mut path = String::new();
    let mut dead = Vec::new();
    for folder in ["a", "b", "c", "d", "e", "f"].iter().take(count) {
        path = format!("{path}/{folder}");
        let mut client = session(site, "dead").await;
        browser.plant(Cookie::new(&client.jar["sid"], None, &path));
        client.post("/logout").await;
        dead.push(client);
    }
    site.clock.advance(6 * SECOND);
    browser
}

async fn p11_dead_tokens_do_not_hide_a_live_one(backend: BackendKind) {
    for count in 1..=3 {
        let site = with_domain(&Site::new(backend));
        let mut browser = with_dead(&site, count).await;
        assert_eq!(browser.header("/a/b/c/d/e/get/a").matches("sid=").count(), count + 1);
        let answer = browser.get("/a/b/c/d/e/get/a").await;
        assert_eq!(answer.text, "live");
        assert_eq!(browser.cookies.len(), 1, "the dead ones are expired: {:?}", answer.set_cookies());
        let next = browser.get("/a/b/c/d/e/get/a").await;
        assert_eq!((next.text.as_str(), next.set_cookies().len()), ("live", 0));
    }
}

/// Tokens of more than four sessions, one of them live.
async fn p11_many_dead_tokens_do_not_prevent_a_login(backend: BackendKind) {
    for count in [4, 5] {
        let site = with_domain(&Site::new(backend));
        let mut browser = with_dead(&site, count).await;
        assert_eq!(browser.header("/a/b/c/d/e/get/a").matches("sid=").count(), count + 1);
        let mut other = browser.clone();
        assert_eq!(other.get("/a/b/c/d/e/get/a").await.text, "live");
        assert_ok(&browser.post("/a/b/c/d/e/login/ada").await);
        let answer = browser.get("/a/b/c/d/e/get/user").await;
        assert_eq!(answer.text, "ada", "{:?}", browser.cookies);
        assert_eq!(browser.cookies.len(), 1, "{:?}", browser.cookies);
        assert_eq!(browser.get("/a/b/c/d/e/get/user").await.set_cookies(), [""; 0]);
        assert_eq!(browser.value("user").await, "ada");
    }
}

/// In a path with more scopes than one response expires, so that some cookies stay before the login's.
async fn p11_dead_tokens_of_deep_paths_do_not_prevent_a_login(backend: BackendKind) {
    const DEPTH: &str = "/1/2/3/4/5/6/7/8/9";
    let site = with_domain(&Site::new(backend));
    let app = Router::new().nest(DEPTH, routes()).layer(site.layer.clone());
    let mut browser = Browser::new(&app, HOST);
    for end in [12, 14, 16, 18] {
        let mut client = session(&site, "dead").await;
        browser.plant(Cookie::new(&client.jar["sid"], None, &DEPTH[..end]));
        client.post("/logout").await;
    }
    site.clock.advance(6 * SECOND);
    assert_eq!(browser.header(&format!("{DEPTH}/get/user")).matches("sid=").count(), 4);
    assert_ok(&browser.post(&format!("{DEPTH}/login/ada")).await);
    let answer = browser.get(&format!("{DEPTH}/get/user")).await;
    assert_eq!(answer.text, "ada", "{:?}", browser.cookies);
}

async fn p11_a_damaged_session_does_not_lock_out_its_client(backend: BackendKind) {
    for over in ["/logout", "/restart", "/login/eve", "/delete"] {
        for user in ["", "/login/ada"] {
            let site = Site::new(backend);
            let mut client = session(&site, "1").await;
            if !user.is_empty() {
                client.post(user).await;
                client.get("/info").await;
            }
            let damaged = client.cookie_header();
            let (key, _) = damage_last(&site).await;
            assert_eq!(client.get("/get/a").await.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_ok(&client.post(over).await);
            assert!(Store::get(&*site.spy, key).await.unwrap().is_none(), "{over}: it is ended, not left behind");
            assert_ne!(client.cookie_header(), damaged);
            assert_eq!(client.ask("GET", "/get/a", &damaged).await.text, "none");
            assert_ok(&client.post("/login/eve").await);
            assert_eq!((client.value("user").await, client.value("a").await), ("eve".into(), "none".into()));
        }
    }
}

async fn p11_a_lost_response_to_a_logout(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = session(&site, "1").await;
    client.post("/login/ada").await;
    assert_ok(&client.ask("POST", "/logout", client.cookie_header()).await);
    assert_eq!(client.value("a").await, "none");
    assert_too_late(&client.post("/set/b/2").await);
    assert_ok(&client.post("/logout").await);
    assert_ok(&client.clone().post("/login/ada").await);
    site.clock.advance(6 * SECOND);
    assert_ok(&client.post("/set/b/2").await);
    assert_eq!((client.value("a").await, client.value("b").await), ("none".into(), "2".into()));
}
