//! No fixation: a live session only has ids that this server created, and no token that was issued before a login reads
//! or writes anything that is saved after it.

use http::StatusCode;

use crate::support::{BackendKind, Client, HOUR, SECOND, Site};
use crate::{SlowRequest, assert_ok, assert_too_late, on_each_place, on_each_store};

on_each_store! {
    p3_no_fixation_by_an_unknown_or_forged_id;
    p3_a_planted_token_reveals_nothing_of_a_login;
    p3_a_planted_token_reveals_nothing_if_the_response_is_lost;
    p3_a_token_from_before_a_step_up_reveals_nothing_of_it;
    p3_two_logins_on_one_planted_session_are_separate;
    p3_two_concurrent_logins_are_separate;
}

on_each_place! {
    p3_an_expired_id_is_not_adopted;
    p3_login_changes_the_id;
}

async fn p3_no_fixation_by_an_unknown_or_forged_id(backend: BackendKind) {
    let site = Site::new(backend);
    let elsewhere = Site::with(backend, |options| {
        options.secrets = vec![ampoule::Secret::new("zwMmCJC16_dHx-cFtv37VWU9GaVCNblpuC1nuJH18II").unwrap()];
    });
    let unknown = Site::new(backend);
    let (mut forger, mut stranger) = (elsewhere.client(), unknown.client());
    forger.post("/set/a/forged").await;
    stranger.post("/set/a/unknown").await;
    let plain = "sid=0123456789abcdef0123456789abcdef".to_owned();
    for planted in
        [forger.cookie_header(), stranger.cookie_header(), plain, "sid=".into(), format!("sid={}", "A".repeat(64))]
    {
        let mut victim = site.client();
        let first = victim.ask("POST", "/login/ada", &planted).await;
        victim.keep(&first);
        assert_ne!(victim.cookie_header(), planted, "the planted id was adopted");
        assert_eq!(victim.value("user").await, "ada");
        assert_eq!(victim.ask("GET", "/get/user", &planted).await.text, "none", "{planted}");
    }
}

async fn p3_an_expired_id_is_not_adopted(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old = client.cookie_header();
    site.clock.advance(24 * HOUR);
    assert_eq!(client.value("a").await, "none");
    let answer = client.post("/set/b/2").await;
    assert_eq!(answer.set_cookies().len(), 1);
    assert_ne!(client.cookie_header(), old);
    assert_eq!(client.ask("GET", "/get/b", &old).await.text, "none");
}

async fn p3_login_changes_the_id(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let planted = client.cookie_header();
    client.post("/login/ada").await;
    assert_ne!(client.cookie_header(), planted);
    assert_eq!((client.value("user").await, client.value("cart").await), ("ada".into(), "7".into()));
    if backend != BackendKind::Cookie {
        site.clock.advance(6 * SECOND);
        assert_eq!(client.ask("GET", "/get/user", &planted).await.text, "none", "the old id is dead after its grace");
    }
}

/// A client with a token that another client planted.
fn planted(site: &Site, token: &str) -> Client {
    let mut victim = site.client();
    victim.jar.insert("sid".into(), token.strip_prefix("sid=").unwrap().into());
    victim
}

/// Asserts that a token shows nothing of a login, by any method.
async fn assert_sees_no_login(client: &Client, token: &str, when: &str) {
    let look = async |path: &str| client.ask("GET", path, token).await;
    for path in ["/get/user", "/peek/user", "/get/diary", "/peek/diary"] {
        assert_eq!(look(path).await.text, "none", "{path} {when}");
    }
    assert_eq!(look("/principal").await.text, "none never", "{when}");
    assert_eq!(look("/sessions").await.text, "", "{when}");
    for path in ["/get/user", "/info", "/principal"] {
        assert_eq!(look(path).await.set_cookies(), [""; 0], "{path} {when}");
    }
}

async fn p3_a_planted_token_reveals_nothing_of_a_login(backend: BackendKind) {
    let site = Site::new(backend);
    let mut attacker = site.client();
    attacker.post("/set/a/planted").await;
    let token = attacker.cookie_header();
    let mut victim = planted(&site, &token);
    assert_eq!(victim.value("a").await, "planted");
    assert_sees_no_login(&attacker, &token, "before the login").await;

    // The login is in the store, and its response is not yet sent.
    let login = SlowRequest::post(&victim, "/login-slowly/ada/", "planted", backend).await;
    assert_sees_no_login(&attacker, &token, "during the login").await;
    assert_too_late(&attacker.ask("POST", "/set/a/worse", &token).await);
    let answer = login.finish().await;
    assert_ok(&answer);
    victim.keep(&answer);
    assert_sees_no_login(&attacker, &token, "after the response").await;
    for path in ["/set/user/mallory", "/set/diary/forged", "/count/n", "/clear", "/remember/9999999"] {
        assert_too_late(&attacker.ask("POST", path, &token).await);
    }
    assert_eq!(attacker.ask("POST", "/regenerate", &token).await.set_cookies(), [""; 0]);

    // The victim has the new token, so the planted one is dead, and still for the grace no new session takes its place.
    victim.post("/set/diary/secret").await;
    assert_eq!(attacker.ask("GET", "/get/a", &token).await.text, "none");
    assert_too_late(&attacker.ask("POST", "/set/a/worse", &token).await);
    for second in 0..60 {
        assert_sees_no_login(&attacker, &token, &format!("{second} s after it")).await;
        site.clock.advance(SECOND);
    }
    let answer = attacker.ask("POST", "/set/a/alone", &token).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "a session of the attacker's own");
    attacker.keep(&answer);
    assert_ne!(attacker.cookie_header(), token);
    assert_sees_no_login(&attacker, &attacker.cookie_header(), "in a session of its own").await;
    assert_sees_no_login(&attacker, &token, "at last").await;
    for (key, value) in [("user", "ada"), ("a", "planted"), ("diary", "secret"), ("n", "none")] {
        assert_eq!(victim.value(key).await, value, "{key}");
    }
}

/// The victim never sends the new token, and the attacker keeps the old session alive by polling.
async fn p3_a_planted_token_reveals_nothing_if_the_response_is_lost(backend: BackendKind) {
    let site = Site::new(backend);
    let mut attacker = site.client();
    attacker.post("/set/a/planted").await;
    let token = attacker.cookie_header();
    let mut victim = planted(&site, &token);
    victim.post("/login/ada").await;
    for second in 0..60 {
        assert_sees_no_login(&attacker, &token, &format!("{second} s after it")).await;
        assert_eq!(attacker.ask("GET", "/get/a", &token).await.text, "planted");
        site.clock.advance(SECOND);
    }
    assert_ok(&attacker.ask("POST", "/set/a/thawed", &token).await);
    assert_sees_no_login(&attacker, &token, "thawed").await;
    // The login is confirmed late, and is unchanged.
    assert_eq!((victim.value("user").await, victim.value("a").await), ("ada".into(), "planted".into()));
    victim.post("/set/diary/secret").await;
    assert_sees_no_login(&attacker, &token, "beside the login").await;
    assert_ok(&attacker.ask("POST", "/set/user/mallory", &token).await);
    assert_ok(&attacker.ask("POST", "/logout", &token).await);
    assert_eq!((victim.value("user").await, victim.value("diary").await), ("ada".into(), "secret".into()));
}

async fn p3_a_token_from_before_a_step_up_reveals_nothing_of_it(backend: BackendKind) {
    let site = Site::new(backend);
    let mut ada = site.client();
    ada.post("/login/ada").await;
    assert_eq!(ada.get("/principal").await.text, "ada 0");
    let stolen = ada.cookie_header();
    let id = ada.get("/id").await.text;
    site.clock.advance(HOUR);
    ada.post("/login/ada").await;
    assert_eq!(ada.ask("GET", "/principal", &stolen).await.text, "ada 0", "it is not as fresh as the step-up");
    assert_too_late(&ada.ask("POST", "/set/a/1", &stolen).await);
    assert_eq!(ada.get("/principal").await.text, "ada 3600");
    assert_ne!(ada.get("/id").await.text, id);
    ada.post("/set/diary/secret").await;
    for second in 0..10 {
        assert_sees_no_login(&ada, &stolen, &format!("{second} s after it")).await;
        site.clock.advance(SECOND);
    }
    assert_eq!((ada.value("diary").await, ada.get("/principal").await.text), ("secret".into(), "ada 3600".into()));
}

/// Attacker and victim log in concurrently with one planted token.
async fn p3_two_logins_on_one_planted_session_are_separate(backend: BackendKind) {
    for (index, order) in [["mallory", "ada"], ["ada", "mallory"]].into_iter().enumerate() {
        for confirms_between in [false, true] {
            let site = Site::new(backend);
            let mut attacker = site.client();
            attacker.post("/set/a/planted").await;
            let token = attacker.cookie_header();
            let mut logins = Vec::new();
            for user in order {
                let name = format!("strangers-{user}-{index}-{confirms_between}");
                logins.push(SlowRequest::post(&attacker, &format!("/login-late/{user}/"), &name, backend).await);
            }
            let mut clients = Vec::new();
            for (login, user) in logins.into_iter().zip(order) {
                let answer = login.finish().await;
                assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "{user}: {}", answer.text);
                let mut client = planted(&site, &token);
                client.keep(&answer);
                if confirms_between {
                    assert_eq!(client.value("user").await, user);
                }
                clients.push(client);
            }
            // Once the first login is confirmed the visit has ended, and the second has only its own changes.
            let of_second = if confirms_between { "none" } else { "planted" };
            assert_separate(&site, clients, order, ["planted", of_second], &token).await;
        }
    }
}

async fn p3_two_concurrent_logins_are_separate(backend: BackendKind) {
    for _ in 0..5 {
        let site = Site::new(backend);
        let mut attacker = site.client();
        attacker.post("/set/a/planted").await;
        let token = attacker.cookie_header();
        let order = ["mallory", "ada"];
        let logins = order.map(|user| {
            let mut client = planted(&site, &token);
            tokio::spawn(async move {
                let answer = client.post(&format!("/login/{user}")).await;
                (answer, client)
            })
        });
        let mut clients = Vec::new();
        for login in logins {
            let (answer, client) = login.await.unwrap();
            assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "{}", answer.text);
            clients.push(client);
        }
        assert_separate(&site, clients, order, ["planted"; 2], &token).await;
    }
}

/// Asserts that each client has its own user's session, and neither sees or ends the other's.
async fn assert_separate(site: &Site, mut clients: Vec<Client>, users: [&str; 2], carried: [&str; 2], token: &str) {
    for ((client, user), carried) in clients.iter_mut().zip(users).zip(carried) {
        assert_eq!((client.value("user").await, client.value("a").await), (user.into(), carried.into()));
        assert_ok(&client.post(&format!("/set/diary/of-{user}")).await);
    }
    for (client, user) in clients.iter_mut().zip(users) {
        assert_eq!(client.value("diary").await, format!("of-{user}"));
        assert_eq!(client.get("/sessions").await.text.lines().count(), 1, "{user} sees no other's session");
        assert_eq!(client.get("/principal").await.text, format!("{user} 0"));
        assert_sees_no_login(client, token, "through the planted token").await;
    }
    assert_eq!(clients[0].post("/revoke-others").await.text, "0");
    assert_ok(&clients[0].post("/logout").await);
    assert_eq!(clients[1].value("diary").await, format!("of-{}", users[1]), "the other's logout ends nothing of it");
    site.clock.advance(6 * SECOND);
    assert_sees_no_login(&clients[1], token, "after the grace").await;
    assert_eq!(clients[1].value("diary").await, format!("of-{}", users[1]));
}
