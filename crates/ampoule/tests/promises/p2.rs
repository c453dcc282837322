//! No resurrection: after a session has ended, no slower request restores it.

use ampoule_core::Store;

use crate::support::{BackendKind, SECOND, Site};
use crate::{SlowRequest, assert_ok, assert_too_late, live_keys, on_each_place, on_each_store};

on_each_store! {
    p2_no_resurrection_by_a_slow_request;
    p2_no_resurrection_by_a_slow_step_up;
    p2_a_login_from_a_session_that_ends_meanwhile_has_none_of_its_data;
    p2_a_logout_with_the_token_from_before_a_login_does_not_end_the_login;
    p2_a_revoked_session_stays_revoked;
    p2_logout_ends_every_session_whose_token_was_sent;
    p2_a_login_after_a_logout_works_at_once;
    p2_a_long_request_gets_an_error_about_the_end;
    p2_a_copied_cookie_is_invalid_after_logout;
}

on_each_place! {
    p2_invalidate_ends_the_old_session_and_starts_a_new_one;
}

const DIARY: &str = "dear-diary";

/// Whether a record contains this text. A sealed one shows none.
async fn is_in_store(site: &Site, text: &str) -> bool {
    for key in live_keys(site).await {
        let stored = Store::get(&*site.spy, key).await.unwrap();
        let value = stored.map(|stored| stored.value).unwrap_or_default();
        if value.windows(text.len()).any(|part| part == text.as_bytes()) {
            return true;
        }
    }
    false
}

/// After each way to end a session: its data are gone at once, and its record after the grace. A slow request is too
/// late during the grace, and after it, when the tombstone is gone.
async fn p2_no_resurrection_by_a_slow_request(backend: BackendKind) {
    let cases = [(0, "/slow/b/2/"), (6, "/slow/b/2/"), (0, "/regenerate-late/"), (6, "/regenerate-late/")];
    let ends = ["/logout", "/delete", "/restart"];
    let cases = ends.iter().flat_map(|end| cases.map(|(wait, path)| (*end, wait, path)));
    for (index, (end, wait, path)) in cases.enumerate() {
        let site = Site::new(backend);
        let mut client = site.client();
        client.post("/login/ada").await;
        client.post(&format!("/set/diary/{DIARY}")).await;
        assert!(backend == BackendKind::Sealed || is_in_store(&site, DIARY).await);
        let stolen = client.cookie_header();
        let slow = SlowRequest::post(&client, path, &format!("raise-{index}"), backend).await;
        let reading = SlowRequest::get(&client, "/get-slowly/user/", &format!("reads-{index}"), backend).await;
        assert_ok(&client.post(end).await);
        assert!(!is_in_store(&site, DIARY).await, "{end} removes the data at once");
        site.clock.advance(wait * SECOND);
        assert_too_late(&slow.finish().await);
        assert_eq!(reading.finish().await.set_cookies(), [""; 0]);
        assert_eq!(client.ask("GET", "/get/user", &stolen).await.text, "none");
        assert_eq!(client.ask("GET", "/info", &stolen).await.text.split(' ').next(), Some("new=true"));
        site.clock.advance(6 * SECOND);
        assert_eq!(live_keys(&site).await.len(), usize::from(end == "/restart"), "{end}: its new session alone");
    }
}

/// A step-up, or the login of another user, runs while the session is logged out.
async fn p2_no_resurrection_by_a_slow_step_up(backend: BackendKind) {
    for user in ["ada", "eve"] {
        let site = Site::new(backend);
        let mut client = site.client();
        client.post("/login/ada").await;
        let before = client.cookie_header();
        let slow =
            SlowRequest::post(&client, &format!("/login-late/{user}/"), &format!("step-up-{user}"), backend).await;
        client.post("/logout").await;
        assert_too_late(&slow.finish().await);
        assert_eq!(client.ask("GET", "/get/user", &before).await.text, "none");
        site.clock.advance(6 * SECOND);
        assert_eq!(live_keys(&site).await, [], "the login is taken back");
    }
}

async fn p2_a_login_from_a_session_that_ends_meanwhile_has_none_of_its_data(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let before = client.cookie_header();
    let slow = SlowRequest::post(&client, "/login-late/ada/", "slow-login", backend).await;
    client.post("/logout").await;
    let answer = slow.finish().await;
    assert_ok(&answer);
    client.keep(&answer);
    assert_eq!((client.value("user").await, client.value("a").await), ("ada".into(), "none".into()));
    assert_eq!(client.ask("GET", "/get/user", &before).await.text, "none");
    assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 1);
    site.clock.advance(6 * SECOND);
    assert_eq!(live_keys(&site).await.len(), 1, "the login and nothing else");
}

/// Before and after the login is confirmed; also for the step-up of a logged-in user.
async fn p2_a_logout_with_the_token_from_before_a_login_does_not_end_the_login(backend: BackendKind) {
    for (first, confirms) in [("/set/a/1", false), ("/set/a/1", true), ("/login/ada", false), ("/login/ada", true)] {
        let site = Site::new(backend);
        let mut client = site.client();
        client.post(first).await;
        let old = client.cookie_header();
        client.get("/info").await;
        client.post("/login/ada").await;
        if confirms {
            assert_eq!(client.value("user").await, "ada");
        }
        assert_ok(&client.ask("POST", "/logout", &old).await);
        assert_eq!(client.value("user").await, "ada", "{first}, {confirms}");
        assert_eq!(client.ask("GET", "/info", &old).await.text.split(' ').next(), Some("new=true"));
        site.clock.advance(6 * SECOND);
        assert_eq!(client.ask("GET", "/info", &old).await.text.split(' ').next(), Some("new=true"));
        assert_eq!((client.value("user").await, live_keys(&site).await.len()), ("ada".into(), 1));
    }
}

async fn p2_a_revoked_session_stays_revoked(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    client.get("/info").await;
    let saves = SlowRequest::post(&client, "/slow/b/2/", "revoked-saves", backend).await;
    let logs_in = SlowRequest::post(&client, "/login-late/ada/", "revoked-logs-in", backend).await;
    let id = site.layer.sessions_of("ada").await.unwrap()[0].id();
    assert!(site.layer.revoke(id).await.unwrap());
    assert_too_late(&saves.finish().await);
    assert_too_late(&logs_in.finish().await);
    assert_eq!(client.value("user").await, "none");
    assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 0);
}

async fn p2_logout_ends_every_session_whose_token_was_sent(backend: BackendKind) {
    let site = Site::new(backend);
    // Two sessions that have nothing to do with each other.
    let (mut one, mut other) = (site.client(), site.client());
    one.post("/login/ada").await;
    other.post("/login/eve").await;
    let both = format!("{}; {}", one.cookie_header(), other.cookie_header());
    assert_eq!(one.ask("GET", "/get/user", &both).await.text, "none", "neither counts");
    let answer = one.ask("POST", "/logout", &both).await;
    assert_ok(&answer);
    assert!(answer.set_cookies().iter().all(|cookie| cookie.contains("Max-Age=0")), "{:?}", answer.set_cookies());
    assert_eq!((one.value("user").await, other.value("user").await), ("none".into(), "none".into()));
    // A session and its login, in both orders.
    for order in [[0, 1], [1, 0]] {
        let mut client = site.client();
        client.post("/set/a/1").await;
        let mut tokens = vec![client.cookie_header()];
        client.post("/login/ada").await;
        tokens.push(client.cookie_header());
        let both = format!("{}; {}", tokens[order[0]], tokens[order[1]]);
        assert_eq!(client.ask("GET", "/peek/user", &both).await.text, "ada", "the login counts");
        assert_ok(&client.ask("POST", "/logout", &both).await);
        for token in &tokens {
            assert_eq!(client.ask("GET", "/get/a", token).await.text, "none");
        }
    }
    site.clock.advance(6 * SECOND);
    assert_eq!(live_keys(&site).await, []);
}

/// The response to the logout is lost, and the client keeps using its cookie.
async fn p2_a_login_after_a_logout_works_at_once(backend: BackendKind) {
    for user in ["ada", "eve"] {
        let site = Site::new(backend);
        let mut client = site.client();
        client.post("/login/ada").await;
        client.post("/set/diary/secret").await;
        assert_ok(&client.ask("POST", "/logout", client.cookie_header()).await);
        assert_too_late(&client.ask("POST", "/set/b/2", client.cookie_header()).await);
        let ended = client.cookie_header();
        let answer = client.post(&format!("/login/{user}")).await;
        assert_ok(&answer);
        assert_ne!(client.cookie_header(), ended);
        assert_eq!((client.value("user").await, client.value("diary").await), (user.into(), "none".into()));
        assert_eq!(client.ask("GET", "/get/user", &ended).await.text, "none");
    }
}

async fn p2_a_long_request_gets_an_error_about_the_end(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    let reloads = SlowRequest::get(&client, "/reload/a/", "reload-lives", backend).await;
    client.post("/set/a/1").await;
    assert_eq!(reloads.finish().await.text, "true 1", "with what others have saved meanwhile");
    for (index, end) in ["/regenerate", "/login/ada", "/logout"].iter().enumerate() {
        let reloads = SlowRequest::get(&client, "/reload/a/", &format!("reload-{index}"), backend).await;
        assert_ok(&client.post(end).await);
        client.get("/info").await;
        let told = reloads.finish().await;
        assert_eq!(told.text, if index == 0 { "true 1" } else { "false none" }, "{end}");
        assert_eq!(told.set_cookies(), [""; 0]);
    }
    let reloads = SlowRequest::get(&client, "/reload/a/", "reload-none", backend).await;
    assert_eq!(reloads.finish().await.text, "false none");
}

async fn p2_a_copied_cookie_is_invalid_after_logout(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    let copied = client.cookie_header();
    let answer = client.post("/logout").await;
    assert!(answer.set_cookies()[0].starts_with("sid=; ") && answer.set_cookies()[0].contains("Max-Age=0"));
    assert!(client.jar.is_empty(), "the browser's cookie is gone");
    assert_eq!(client.ask("GET", "/get/user", &copied).await.text, "none");
}

async fn p2_invalidate_ends_the_old_session_and_starts_a_new_one(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    let old = client.cookie_header();
    client.post("/restart").await;
    assert_ne!(client.cookie_header(), old);
    assert_eq!((client.value("fresh").await, client.value("user").await), ("yes".into(), "none".into()));
    if backend != BackendKind::Cookie {
        assert_eq!(client.ask("GET", "/get/user", &old).await.text, "none");
    }
}
