//! The promises, over HTTP, wherever a session can be kept. A test's name says which promise it proves.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use ampoule_core::StoreKey;
use http::StatusCode;
use support::site::gate;
use support::stores::Mood;
use support::{Client, HOUR, Place, SECOND, Site};
use tokio::task::JoinSet;

on_each_store! {
    p1_no_lost_update_of_different_keys;
    p1_no_lost_update_of_a_counter;
    p1_the_later_commit_of_one_key_wins;
    p1_a_slow_request_keeps_what_others_saved;
    p2_no_resurrection_by_a_slow_request;
    p2_no_resurrection_by_a_slow_login;
    p2_logout_finds_a_session_that_has_moved;
    p2_the_copied_cookie_is_dead_after_logout;
    p3_no_fixation_by_an_unknown_or_forged_id;
    p5_one_trip_to_load_and_one_to_save;
    p6_rotation_lets_requests_under_way_find_their_session;
    p6_rotation_survives_a_dropped_request;
    p6_two_logins_at_once_are_one_session;
    p6_without_grace_the_old_id_is_dead_at_once;
    p7_saved_is_saved_and_damage_is_seen;
    p8_the_store_may_be_stolen;
    p10_an_outage_is_honest;
    p10_a_hung_store_is_given_up;
}

on_each_place! {
    p2_invalidate_ends_the_old_and_begins_anew;
    p3_an_expired_id_is_not_adopted;
    p3_login_changes_the_id;
    p4_untouched_is_free;
    p4_reading_a_new_session_stores_nothing;
    p6_rotation_survives_a_failed_response;
    p9_a_session_is_bounded;
}

on_places! {
    p9_expired_sessions_go_away on Memory File Sealed Sqlite Postgres MySql;
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

async fn p1_no_lost_update_of_different_keys(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/first/yes").await;
    at_once(&client, (0..64).map(|n| format!("/set/key{n}/{n}"))).await;
    for n in 0..64 {
        assert_eq!(client.value(&format!("key{n}")).await, n.to_string());
    }
    assert_eq!(client.value("first").await, "yes");
}

async fn p1_no_lost_update_of_a_counter(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/count/n").await;
    at_once(&client, (0..64).map(|_| "/count/n".to_owned())).await;
    assert_eq!(client.value("n").await, "65");
}

async fn p1_the_later_commit_of_one_key_wins(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/0").await;
    let (gate, slow) = start_slow(&client, "/slow/a/late/", &format!("later {place:?}")).await;
    client.post("/set/a/early").await;
    gate.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap(), StatusCode::OK);
    assert_eq!(client.value("a").await, "late");
}

/// Starts a request that loads its session and waits; returns once it has loaded.
async fn start_slow(
    client: &Client,
    path: &str,
    name: &str,
) -> (support::site::Gate, tokio::task::JoinHandle<StatusCode>) {
    let name = name.replace(' ', "-");
    let gate = gate(&name).await;
    let (mut client, path) = (client.clone(), format!("{path}{name}"));
    let slow = tokio::spawn(async move { client.post(&path).await.status });
    gate.loaded.acquire().await.unwrap().forget();
    (gate, slow)
}

async fn p1_a_slow_request_keeps_what_others_saved(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let (gate, slow) = start_slow(&client, "/slow/b/2/", &format!("keeps {place:?}")).await;
    client.post("/set/c/3").await;
    gate.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap(), StatusCode::OK);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
}

async fn p2_no_resurrection_by_a_slow_request(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/login/ada").await;
    let stolen = client.cookie_header();
    let (gate, slow) = start_slow(&client, "/slow/b/2/", &format!("raise {place:?}")).await;
    client.post("/logout").await;
    gate.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap(), StatusCode::CONFLICT, "the slow request learns that its session has ended");
    assert_eq!(client.ask("GET", "/get/user", &stolen).await.text, "none");
    assert_eq!(client.ask("GET", "/info", &stolen).await.text.split(' ').next(), Some("new=true"));
}

/// The login has written its new record and not yet answered; meanwhile the old session is logged out.
async fn p2_no_resurrection_by_a_slow_login(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let before = client.cookie_header();
    let (gate, slow) = start_slow(&client, "/login-slowly/ada/", &format!("slow login {place:?}")).await;
    client.clone().post("/logout").await;
    gate.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap(), StatusCode::CONFLICT);
    assert_eq!(client.ask("GET", "/get/user", &before).await.text, "none");
    let live = site.spy.written.lock().unwrap().iter().map(|(key, _)| *key).collect::<std::collections::HashSet<_>>();
    for key in live {
        assert!(ampoule_core::Store::get(&*site.spy, key).await.unwrap().is_none(), "no record of either id is left");
    }
}

/// A logout that loaded the session before a login moved it must end it at its new place.
async fn p2_logout_finds_a_session_that_has_moved(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old = client.cookie_header();
    client.post("/login/ada").await;
    assert_eq!(client.value("user").await, "ada");
    assert_eq!(client.ask("POST", "/logout", &old).await.status, StatusCode::OK);
    assert_eq!(client.value("user").await, "none", "logged out under its new id, by a request with the old one");
}

async fn p2_the_copied_cookie_is_dead_after_logout(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/login/ada").await;
    let copied = client.cookie_header();
    let answer = client.post("/logout").await;
    assert!(answer.set_cookies()[0].starts_with("sid=; ") && answer.set_cookies()[0].contains("Max-Age=0"));
    assert!(client.jar.is_empty(), "the browser's cookie is gone");
    assert_eq!(client.ask("GET", "/get/user", &copied).await.text, "none");
}

async fn p2_invalidate_ends_the_old_and_begins_anew(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/login/ada").await;
    let old = client.cookie_header();
    client.post("/restart").await;
    assert_ne!(client.cookie_header(), old);
    assert_eq!((client.value("fresh").await, client.value("user").await), ("yes".into(), "none".into()));
    if place != Place::Cookie {
        assert_eq!(client.ask("GET", "/get/user", &old).await.text, "none");
    }
}

async fn p3_no_fixation_by_an_unknown_or_forged_id(place: Place) {
    let site = Site::new(place);
    let elsewhere = Site::with(place, |options| {
        options.secret = vec![ampoule::Secret::new("another secret that signs for somebody else").unwrap()];
    });
    let unknown = Site::new(place);
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

async fn p3_an_expired_id_is_not_adopted(place: Place) {
    let site = Site::new(place);
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

async fn p3_login_changes_the_id(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let planted = client.cookie_header();
    client.post("/login/ada").await;
    assert_ne!(client.cookie_header(), planted);
    assert_eq!((client.value("user").await, client.value("cart").await), ("ada".into(), "7".into()));
    if place != Place::Cookie {
        site.clock.advance(6 * SECOND);
        assert_eq!(client.ask("GET", "/get/user", &planted).await.text, "none", "the old id is dead after its grace");
    }
}

async fn p4_untouched_is_free(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.spy.calls();
    for cookie in [client.cookie_header(), String::new(), "sid=garbage".into()] {
        let answer = client.ask("GET", "/", &cookie).await;
        assert_eq!(answer.text, "untouched");
        assert_eq!(site.spy.calls(), [0; 4]);
        let headers: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
        assert!(!headers.contains(&"set-cookie") && !headers.contains(&"vary"), "{headers:?}");
    }
}

async fn p4_reading_a_new_session_stores_nothing(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    for path in ["/get/a", "/info", "/peek/a", "/id"] {
        let answer = client.get(path).await;
        assert_eq!(answer.set_cookies(), [""; 0], "{path}");
        assert_eq!(answer.headers["vary"], "Cookie");
    }
    assert_eq!(site.spy.calls(), [0; 4]);
}

async fn p5_one_trip_to_load_and_one_to_save(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    assert_eq!(site.spy.calls(), [0, 1, 0, 0], "a new session is one put");
    client.get("/info").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "reading is one get, however much is read");
    client.post("/set/a/2").await;
    assert_eq!(site.spy.calls(), [1, 1, 0, 0], "reading and writing is a get and a put");
    client.post("/same/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "saving what did not change writes nothing");
    client.post("/count/n").await;
    assert_eq!(site.spy.calls(), [1, 1, 0, 0]);
    site.clock.advance(3 * HOUR);
    client.get("/get/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 1, 0], "a tenth of the idle time has gone: its end moves");
    client.get("/get/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "and not again at once");
}

async fn p6_rotation_lets_requests_under_way_find_their_session(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old = client.clone();
    let (gate, slow) = start_slow(&client, "/slow/late/2/", &format!("grace {place:?}")).await;
    client.post("/login/ada").await;
    gate.go_on.add_permits(1);
    assert_eq!(slow.await.unwrap(), StatusCode::OK, "a request that had loaded before the login saves after it");
    let with_old_id = old.ask("POST", "/set/later/3", old.cookie_header()).await;
    assert_eq!((with_old_id.status, with_old_id.set_cookies().len()), (StatusCode::OK, 0));
    for (key, value) in [("user", "ada"), ("a", "1"), ("late", "2"), ("later", "3")] {
        assert_eq!(client.value(key).await, value, "{key}");
    }
    site.clock.advance(6 * SECOND);
    assert_eq!(old.ask("GET", "/get/a", old.cookie_header()).await.text, "none", "the grace is over");
    assert_eq!(client.value("a").await, "1");
}

async fn p6_rotation_survives_a_failed_response(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let answer = client.post("/login-fails/ada").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::INTERNAL_SERVER_ERROR, 0));
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "none".into()));
    let answer = client.post("/login-saved-then-fails/ada").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::INTERNAL_SERVER_ERROR, 1));
    site.clock.advance(6 * SECOND);
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "ada".into()), "saved is saved");
}

async fn p6_rotation_survives_a_dropped_request(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let (_gate, slow) = start_slow(&client, "/login-slowly/ada/", &format!("dropped {place:?}")).await;
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    site.clock.advance(60 * SECOND);
    assert_eq!(
        (client.value("a").await, client.value("user").await),
        ("1".into(), "none".into()),
        "as before the login"
    );
}

async fn p6_two_logins_at_once_are_one_session(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let (first_gate, first) = start_slow(&client, "/login-slowly/ada/", &format!("one {place:?}")).await;
    let name = format!("two-{place:?}");
    let second_gate = gate(&name).await;
    let mut second_client = client.clone();
    let second = tokio::spawn(async move {
        let answer = second_client.post(&format!("/login-slowly/eve/{name}")).await;
        (answer.status, answer.set_cookies().len())
    });
    second_gate.loaded.acquire().await.unwrap().forget();
    first_gate.go_on.add_permits(1);
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    second_gate.go_on.add_permits(1);
    assert_eq!(second.await.unwrap(), (StatusCode::OK, 0), "the first response's cookie counts");
    assert_eq!(
        client.value("user").await,
        "eve",
        "the old id leads to the one session for a moment, with the later login"
    );
}

async fn p6_without_grace_the_old_id_is_dead_at_once(place: Place) {
    let site = Site::with(place, |options| options.rotation_grace = Duration::ZERO);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let old = client.cookie_header();
    client.post("/login/ada").await;
    assert_eq!(client.ask("GET", "/get/a", &old).await.text, "none");
    assert_eq!((client.value("a").await, client.value("user").await), ("1".into(), "ada".into()));
}

async fn p7_saved_is_saved_and_damage_is_seen(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let (key, entry) = site.spy.written.lock().unwrap().last().cloned().unwrap();
    let torn = ampoule_core::Entry { value: entry.value.slice(..entry.value.len() / 2), ..entry.clone() };
    let _ = ampoule_core::Store::put(&*site.spy, key, torn, ampoule_core::Put::Always).await.unwrap();
    assert_eq!(client.get("/get/a").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(client.post("/set/b/2").await.status, StatusCode::INTERNAL_SERVER_ERROR, "and nothing is saved over it");
    let _ = ampoule_core::Store::put(&*site.spy, key, entry, ampoule_core::Put::Always).await.unwrap();
    assert_eq!(client.value("a").await, "1");
}

async fn p8_the_store_may_be_stolen(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/login/ada").await;
    let token = client.jar["sid"].clone();
    let written: Vec<(StoreKey, ampoule_core::Entry)> = site.spy.written.lock().unwrap().clone();
    for (key, entry) in written {
        let stored = [key.as_bytes().as_slice(), &entry.value].concat();
        for part in [token.as_bytes(), &token.as_bytes()[..20]] {
            assert!(!stored.windows(part.len()).any(|window| window == part), "the cookie's text is in the store");
        }
        for forged in [format!("sid={key}"), format!("sid={key}{}", "A".repeat(21))] {
            assert_eq!(client.ask("GET", "/get/user", &forged).await.text, "none");
        }
    }
}

async fn p9_a_session_is_bounded(place: Place) {
    let site = Site::with(place, |options| options.max_size = 10_000);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let long = "x".repeat(12_000);
    let answer = client.post(&format!("/set/b/{long}")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        (client.value("a").await, client.value("b").await),
        ("1".into(), "none".into()),
        "the old session stands"
    );
    let answer = client.post(&format!("/set/{}/1", "k".repeat(256))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

async fn p9_expired_sessions_go_away(place: Place) {
    let site = Site::new(place);
    for _ in 0..20 {
        site.client().post("/set/a/1").await;
    }
    let mut living = site.client();
    site.clock.advance(12 * HOUR);
    living.post("/set/a/1").await;
    site.clock.advance(12 * HOUR);
    let mut removed = 0;
    loop {
        let swept = site.layer.sweep(1_000).await.unwrap();
        removed += swept.removed;
        if !swept.more {
            break;
        }
    }
    assert_eq!(removed, 20);
    assert_eq!(living.value("a").await, "1");
}

async fn p10_an_outage_is_honest(place: Place) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/login/ada").await;
    let cookie = client.cookie_header();
    site.spy.set_mood(Mood::Refuses);
    assert_eq!(client.get("/").await.status, StatusCode::OK, "who needs no session notices nothing");
    for path in ["/set/a/1", "/logout", "/count/n", "/login/eve"] {
        let answer = client.post(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!((answer.headers["retry-after"].to_str().unwrap(), answer.set_cookies().len()), ("1", 0));
        assert!(answer.text.contains("try again"), "{}", answer.text);
    }
    site.spy.set_mood(Mood::Works);
    assert_eq!(client.cookie_header(), cookie);
    assert_eq!(client.value("user").await, "ada", "the session was never taken for empty");
}

async fn p10_a_hung_store_is_given_up(place: Place) {
    let site = Site::with(place, |options| options.store_timeout = Some(Duration::from_secs(1)));
    let mut client = site.client();
    client.post("/login/ada").await;
    site.spy.set_mood(Mood::Hangs);
    let answer = client.get("/get/user").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    site.spy.set_mood(Mood::Works);
    assert_eq!(client.value("user").await, "ada");
    assert!(site.spy.gets.load(Ordering::SeqCst) >= 2);
}
