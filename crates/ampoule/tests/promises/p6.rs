//! Safe rotation: a new token, by rotation or login, never loses the session, even if responses are lost.

use std::time::Duration;

use ampoule::{CookieExpires, Secret};
use http::StatusCode;
use tokio::task::JoinSet;

use crate::support::{BackendKind, Client, HOUR, SECOND, Site};
use crate::{SlowRequest, assert_ok, assert_too_late, on_each_place, on_each_store};

on_each_store! {
    p6_requests_in_progress_survive_a_rotation;
    p6_requests_in_progress_get_an_error_about_a_login;
    p6_a_lost_rotation_response_loses_nothing;
    p6_two_rotations_at_once_leave_one_token;
    p6_a_rotation_while_the_secret_is_rotated;
    p6_a_lost_login_response_loses_nothing;
    p6_a_login_can_be_repeated_at_once;
    p6_a_login_survives_a_dropped_request;
    p6_a_renewed_cookie_does_not_overwrite_a_login_s;
    p6_a_double_click_leaves_one_device;
    p6_a_late_click_gets_an_error;
    p6_without_grace_the_old_token_is_invalid_at_once;
}

on_each_place! {
    p6_a_login_survives_a_failed_response;
}

async fn p6_requests_in_progress_survive_a_rotation(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let id = client.get("/id").await.text;
    let old = client.clone();
    let slow = SlowRequest::post(&client, "/slow/late/2/", "rotated", backend).await;
    assert_eq!(client.post("/regenerate").await.set_cookies().len(), 1);
    assert_ne!(client.jar, old.jar);
    let answer = slow.finish().await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0), "it had loaded before the rotation");
    let answer = old.ask("POST", "/set/later/3", old.cookie_header()).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0));
    for (key, value) in [("a", "1"), ("late", "2"), ("later", "3")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
    assert_eq!(client.get("/id").await.text, id, "the id stays for the session's whole life");
    site.clock.advance(4 * SECOND);
    assert_ok(&old.ask("POST", "/set/grace/4", old.cookie_header()).await);
    site.clock.advance(SECOND);
    assert_eq!(old.ask("GET", "/get/a", old.cookie_header()).await.text, "none", "the grace is over");
    assert_eq!((client.value("a").await, client.value("grace").await), ("1".into(), "4".into()));
}

async fn p6_requests_in_progress_get_an_error_about_a_login(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old = client.clone();
    let with_old = async |method: &str, path: &str| old.ask(method, path, old.cookie_header()).await;
    let saves = SlowRequest::post(&client, "/slow/late/2/", "login-saves", backend).await;
    let reads = SlowRequest::get(&client, "/get-slowly/a/", "login-reads", backend).await;
    client.post("/login/ada").await;
    let answer = saves.finish().await;
    assert_too_late(&answer);
    assert!(answer.text.contains("logged in while this request was under way"), "{}", answer.text);
    let answer = reads.finish().await;
    assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("1", 0));
    assert_eq!(with_old("GET", "/get/a").await.text, "1", "what was there before the login");
    assert_too_late(&with_old("POST", "/set/later/3").await);
    assert_eq!((client.value("user").await, client.value("a").await), ("ada".into(), "1".into()));
    assert_eq!(with_old("GET", "/get/a").await.text, "none", "the login is confirmed");
    site.clock.advance(4 * SECOND);
    assert_too_late(&with_old("POST", "/set/later/3").await);
    site.clock.advance(2 * SECOND);
    let answer = with_old("POST", "/set/later/3").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "a new session");
    for (key, value) in [("user", "ada"), ("a", "1"), ("late", "none"), ("later", "none")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
}

async fn p6_a_lost_rotation_response_loses_nothing(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let lost = client.ask("POST", "/regenerate", client.cookie_header()).await;
    assert_eq!(lost.set_cookies().len(), 1);
    for hour in 0..30 {
        let answer = client.post(&format!("/set/hour/{hour}")).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0));
        assert_eq!((client.value("a").await, client.value("hour").await), ("1".into(), hour.to_string()));
        site.clock.advance(HOUR);
    }
    assert_eq!(client.post("/regenerate").await.set_cookies(), [""; 0], "only the current secret rotates");
    // A login heals it.
    client.post("/login/ada").await;
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "ada".into()));
    assert_eq!(client.post("/regenerate").await.set_cookies().len(), 1);
    assert_eq!(client.value("a").await, "1");
    client.keep(&lost);
    assert_eq!(client.value("a").await, "none", "the secret that was never used is of before the login");
}

async fn p6_two_rotations_at_once_leave_one_token(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let mut rotations = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        rotations.spawn(async move { client.ask("POST", "/regenerate", client.cookie_header()).await });
    }
    let mut told = 0;
    for answer in rotations.join_all().await {
        assert_ok(&answer);
        told += answer.set_cookies().len();
        client.keep(&answer);
    }
    assert_eq!(told, 1, "one rotates, the others ask in vain");
    assert_eq!(client.value("a").await, "1");
    site.clock.advance(6 * SECOND);
    assert_eq!(client.value("a").await, "1");
}

async fn p6_a_rotation_while_the_secret_is_rotated(backend: BackendKind) {
    let (old, new) = ("TuUkmI_riSAnpiUjIWvjKprNwdXYWAe5BeRK-XLzx8", "20qUqO1DxdGufG0f_B_ET39Xt68F2kY6kDl3RHczmng");
    let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(text).unwrap()).collect::<Vec<_>>();
    for lost in [false, true] {
        let before = Site::with(backend, |options| options.secrets = secrets(&[old]));
        let between = before.beside(|options| options.secrets = secrets(&[new, old]));
        let after = before.beside(|options| options.secrets = secrets(&[new]));
        let mut client = before.client();
        client.post("/set/a/1").await;
        let token = client.cookie_header();
        client.app = between.app.clone();
        let slow = SlowRequest::post(&client, "/slow/b/2/", &format!("keys-{lost}"), backend).await;
        let answer = client.ask("POST", "/regenerate", &token).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1));
        if lost {
            // The old secret is still accepted, but no response signs it again, since another is current.
            assert_eq!(client.get("/get/a").await.set_cookies(), [""; 0]);
        } else {
            client.keep(&answer);
        }
        let answer = slow.finish().await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0));
        assert_eq!((client.value("a").await, client.value("b").await), ("1".into(), "2".into()), "lost: {lost}");
        if !lost {
            client.app = after.app.clone();
            assert_eq!((client.value("a").await, client.value("b").await), ("1".into(), "2".into()));
            assert_eq!(client.ask("GET", "/get/a", &token).await.text, "none", "the old key has gone");
        }
    }
}

async fn p6_a_lost_login_response_loses_nothing(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let lost = client.ask("POST", "/login/ada", client.cookie_header()).await;
    assert_eq!(lost.set_cookies().len(), 1);
    assert_eq!((client.value("cart").await, client.value("user").await), ("7".into(), "none".into()));
    assert_too_late(&client.post("/set/more/8").await);
    site.clock.advance(6 * SECOND);
    let answer = client.post("/set/more/8").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0), "the same session is used");
    assert_eq!((client.value("cart").await, client.value("more").await), ("7".into(), "8".into()));
    assert_ok(&client.post("/login/ada").await);
    for (key, value) in [("cart", "7"), ("more", "8"), ("user", "ada")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
    assert_eq!(client.get("/sessions").await.text.lines().count(), 1, "both logins are of one device");
    assert_ok(&client.post("/logout").await);
    assert!(site.layer.sessions_of("ada").await.unwrap().is_empty(), "and end together");
    client.keep(&lost);
    assert_eq!(client.value("user").await, "none");
}

/// The client gets no response and clicks again within the grace.
async fn p6_a_login_can_be_repeated_at_once(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    for _ in 0..3 {
        let lost = client.ask("POST", "/login/ada", client.cookie_header()).await;
        assert_eq!((lost.status, lost.set_cookies().len()), (StatusCode::OK, 1));
        site.clock.advance(2 * SECOND);
    }
    assert_ok(&client.post("/login/ada").await);
    assert_eq!((client.value("cart").await, client.value("user").await), ("7".into(), "ada".into()));
    site.clock.advance(60 * SECOND);
    assert_ok(&client.post("/set/more/8").await);
    assert_eq!((client.value("cart").await, client.value("more").await), ("7".into(), "8".into()));
    assert_eq!(client.get("/sessions").await.text.lines().count(), 1);
}

async fn p6_a_login_survives_a_dropped_request(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    SlowRequest::post(&client, "/login-slowly/ada/", "dropped", backend).await.drop().await;
    site.clock.advance(60 * SECOND);
    assert_eq!(
        (client.value("a").await, client.value("user").await),
        ("1".into(), "none".into()),
        "as before the login"
    );
    assert_eq!(client.post("/count/n").await.text, "1");
    assert_ok(&client.post("/login/ada").await);
    for (key, value) in [("a", "1"), ("n", "1"), ("user", "ada")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
}

async fn p6_a_login_survives_a_failed_response(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let answer = client.post("/login-fails/ada").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::INTERNAL_SERVER_ERROR, 0));
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "none".into()));
    for path in ["/login-saved-then-fails/ada", "/login-error/ada", "/login-server-error/ada"] {
        let mut client = site.client();
        client.post("/set/a/1").await;
        let before = client.jar.clone();
        let answer = client.post(path).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::INTERNAL_SERVER_ERROR, 1), "{path}");
        assert_ne!(client.jar, before);
        site.clock.advance(6 * SECOND);
        assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "ada".into()), "saved is saved");
    }
}

/// A background request of a page, whose cookie must be renewed because of its age or its old key, runs while another
/// request logs in or rotates.
async fn p6_a_renewed_cookie_does_not_overwrite_a_login_s(backend: BackendKind) {
    let (old, new) = ("TuUkmI_riSAnpiUjIWvjKprNwdXYWAe5BeRK-XLzx8", "20qUqO1DxdGufG0f_B_ET39Xt68F2kY6kDl3RHczmng");
    let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(text).unwrap()).collect::<Vec<_>>();
    let mut case = 0;
    for by_age in [true, false] {
        for (between, confirms) in [("", false), ("/regenerate", false), ("/login/ada", false), ("/login/ada", true)] {
            for (method, path) in [("GET", "/get-slowly/a/"), ("POST", "/slow/b/2/")] {
                case += 1;
                let made = Site::with(backend, |options| {
                    options.secrets = secrets(&[old]);
                    options.cookie.expires = CookieExpires::After(10 * HOUR);
                });
                let used = made.beside(|options| {
                    options.secrets = if by_age { secrets(&[old]) } else { secrets(&[new, old]) };
                    if by_age {
                        options.cookie.expires = CookieExpires::After(10 * HOUR);
                    }
                });
                let mut client = made.client();
                client.post("/set/a/1").await;
                client.app = used.app.clone();
                made.clock.advance(if by_age { 2 * HOUR } else { SECOND });
                let slow = SlowRequest::start(&client, method, path, &format!("due-{case}"), backend).await;
                if !between.is_empty() {
                    assert_eq!(client.post(between).await.set_cookies().len(), 1);
                }
                if confirms {
                    assert_eq!(client.value("user").await, "ada");
                }
                let answer = slow.finish().await;
                let what = format!("{method} beside {between:?}, confirmed: {confirms}, by age: {by_age}");
                assert_eq!(answer.set_cookies().len(), usize::from(between.is_empty()), "{what}");
                client.keep(&answer);
                assert_eq!(client.value("a").await, "1", "{what}");
                let user = if between.starts_with("/login") { "ada" } else { "none" };
                assert_eq!(client.value("user").await, user, "{what}");
            }
        }
    }
}

/// Both requests have the token of the visit, and the browser keeps the cookie that arrives last.
async fn p6_a_double_click_leaves_one_device(backend: BackendKind) {
    for last in [0, 1] {
        let site = Site::new(backend);
        let mut client = site.client();
        client.post("/set/cart/7").await;
        let first = SlowRequest::post(&client, "/login-late/ada/", &format!("click-1-{last}"), backend).await;
        let second = SlowRequest::post(&client, "/login-late/ada/", &format!("click-2-{last}"), backend).await;
        let answers = [first.finish().await, second.finish().await];
        for answer in &answers {
            assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "{}", answer.text);
        }
        let (mut other, mut client) = (client.clone(), client);
        client.keep(&answers[last]);
        other.keep(&answers[1 - last]);
        assert_eq!((client.value("user").await, client.value("cart").await), ("ada".into(), "7".into()));
        let listed = client.get("/sessions").await.text;
        assert!(listed.lines().count() == 1 && listed.ends_with("*\n"), "{listed}");
        assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 1);
        assert_ok(&client.post("/set/more/8").await);
        assert_eq!(client.value("more").await, "8");
        assert_ok(&client.post("/logout").await);
        assert_eq!(other.value("user").await, "none", "logout ends both");
        assert!(site.layer.sessions_of("ada").await.unwrap().is_empty());
    }
}

/// The browser has received and used one login before the other request is processed.
async fn p6_a_late_click_gets_an_error(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let under_way = SlowRequest::post(&client, "/login-late/ada/", "late-click", backend).await;
    let old = client.clone();
    client.post("/login/ada").await;
    assert_eq!(client.value("user").await, "ada");
    assert_too_late(&under_way.finish().await);
    assert_too_late(&old.ask("POST", "/login/ada", old.cookie_header()).await);
    assert_eq!((client.value("user").await, client.value("cart").await), ("ada".into(), "7".into()));
    assert_eq!(client.get("/sessions").await.text.lines().count(), 1);
    // Another user's login is none of hers, and after the grace the old token is like none.
    let mut eve = old.clone();
    assert_ok(&eve.post("/login/eve").await);
    assert_eq!((eve.value("user").await, eve.value("cart").await), ("eve".into(), "none".into()));
    site.clock.advance(6 * SECOND);
    let mut again = old.clone();
    assert_ok(&again.post("/login/ada").await);
    assert_eq!((again.value("user").await, again.value("cart").await), ("ada".into(), "none".into()));
    assert_eq!(client.value("cart").await, "7");
}

async fn p6_without_grace_the_old_token_is_invalid_at_once(backend: BackendKind) {
    let site = Site::with(backend, |options| options.rotation_grace = Duration::ZERO);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old: Client = client.clone();
    let a_of_old = async || old.ask("GET", "/get/a", old.cookie_header()).await.text;
    client.post("/login/ada").await;
    assert_eq!(a_of_old().await, "1", "the response may be lost, so until the new token comes the old one is good");
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "ada".into()));
    assert_eq!(a_of_old().await, "none");
    let rotated = client.clone();
    client.post("/regenerate").await;
    assert_eq!(client.value("a").await, "1");
    assert_eq!(client.ask("GET", "/get/a", rotated.cookie_header()).await.text, "none");
    client.post("/logout").await;
    assert_eq!(old.ask("GET", "/get/a", client.cookie_header()).await.text, "none");
}
