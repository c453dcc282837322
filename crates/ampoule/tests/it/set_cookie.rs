//! When a Set-Cookie is sent, with which attributes; and Vary and Cache-Control.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{BackendKind, HOUR, Log, SECOND, Site, options};
use ampoule::{CookieExpires, CookiePriority, HostPrefix, SameSite, Secret, Session, SessionLayer};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tower::ServiceExt;

on_backends! {
    an_untouched_read_or_unsaved_session_sends_no_cookie on Memory File Cookie;
    saving_a_new_session_sends_a_cookie on Memory File Cookie;
    saving_again_sends_no_cookie_with_a_store on Memory File;
    a_cookie_with_an_expiry_is_sent_again_after_a_tenth on Memory File;
    remember_me_sets_a_persistent_cookie on Memory File Cookie;
    a_deleted_session_s_cookie_is_removed_with_its_attributes on Memory File Cookie;
    an_invalid_token_sends_no_cookie on Memory File Cookie;
    a_cookie_of_an_old_secret_is_sent_again on Memory File Cookie;
    auto_save_saves_changes on Memory File Cookie;
    read_only_access_writes_nothing on Memory File Cookie;
    a_use_moves_the_idle_deadline_but_not_the_absolute_one on Memory File Cookie;
}

on_each_place! {
    a_handler_s_cache_control_is_kept_if_strict_enough;
}

/// No cache may serve a response with a session's cookie to another client, whatever Cache-Control the handler sets.
async fn a_handler_s_cache_control_is_kept_if_strict_enough(backend: BackendKind) {
    let site = Site::new(backend);
    for (said, sent) in [
        ("public", "no-store"),
        ("public, max-age=31536000, immutable", "no-store"),
        ("max-age=60", "no-store"),
        ("no-cache", "no-store"),
        ("private", "private"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
    ] {
        let path = format!("/cached/{}/a/1", said.replace(' ', "%20"));
        let mut client = site.client();
        let with_cookie = client.post(&path).await;
        let values: Vec<_> = with_cookie.headers.get_all("cache-control").iter().collect();
        assert_eq!((with_cookie.set_cookies().len(), values), (1, vec![&HeaderValue::from_static(sent)]), "{said}");
        if backend != BackendKind::Cookie {
            let without = client.post(&path).await;
            assert_eq!(
                (without.set_cookies().len(), &without.headers["cache-control"]),
                (0, &HeaderValue::from_static(said))
            );
        }
    }
}

async fn an_untouched_read_or_unsaved_session_sends_no_cookie(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    for path in ["/", "/get/a", "/info", "/peek/a", "/id"] {
        assert_eq!(client.get(path).await.set_cookies(), [""; 0], "{path}");
    }
    assert_eq!(client.post("/forget/a/2").await.set_cookies(), [""; 0]);
    assert_eq!(client.value("a").await, "1");
}

async fn saving_a_new_session_sends_a_cookie(backend: BackendKind) {
    let site = Site::new(backend);
    let answer = site.client().post("/set/a/1").await;
    let cookies = answer.set_cookies();
    assert_eq!(cookies.len(), 1);
    assert!(answer.headers["set-cookie"].is_sensitive(), "a layer that logs headers hides it");
    let (pair, attributes) = cookies[0].split_once("; ").unwrap();
    assert!(pair.starts_with("sid="));
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(
        (&answer.headers["vary"], &answer.headers["cache-control"]),
        (&"Cookie".parse().unwrap(), &"no-store".parse().unwrap())
    );
}

async fn saving_again_sends_no_cookie_with_a_store(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let answer = client.post("/set/a/2").await;
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert!(!answer.headers.contains_key("cache-control"));
    assert_eq!(answer.headers["vary"], "Cookie");
}

async fn a_cookie_with_an_expiry_is_sent_again_after_a_tenth(backend: BackendKind) {
    let site = Site::with(backend, |options| {
        options.cookie.expires = CookieExpires::After(10 * HOUR);
        options.idle_timeout = Some(100 * HOUR);
    });
    let mut client = site.client();
    let first = client.post("/set/a/1").await.set_cookies().remove(0);
    assert!(first.contains("Max-Age=36000; Expires="), "{first}");
    let value = client.cookie_header();
    site.clock.advance(HOUR - SECOND);
    assert_eq!(client.get("/get/a").await.set_cookies(), [""; 0]);
    site.clock.advance(SECOND);
    assert_eq!(client.get("/").await.set_cookies(), [""; 0], "only where the session is used");
    let again = client.get("/get/a").await.set_cookies();
    assert!(again.len() == 1 && again[0].contains("Max-Age=36000"), "{again:?}");
    assert_eq!(client.cookie_header(), value, "the same value");
    assert_eq!(client.get("/get/a").await.set_cookies(), [""; 0], "and not again at once");
    site.clock.advance(2 * HOUR);
    assert_eq!(client.post("/set/a/2").await.set_cookies().len(), 1, "also with a save");
}

async fn remember_me_sets_a_persistent_cookie(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let days = 60 * 24 * 3_600;
    let cookies = client.post(&format!("/remember/{days}")).await.set_cookies();
    assert!(cookies.len() == 1 && cookies[0].contains(&format!("Max-Age={days}")), "{cookies:?}");
    site.clock.advance(59 * 24 * HOUR);
    assert_eq!(client.value("a").await, "1", "the absolute end moved with it");
    site.clock.advance(61 * 24 * HOUR);
    assert_eq!(client.value("a").await, "none");
}

async fn a_deleted_session_s_cookie_is_removed_with_its_attributes(backend: BackendKind) {
    let site = Site::with(backend, |options| {
        options.cookie.domain = Some("example.com".into());
        options.cookie.path = "/app".into();
        options.cookie.samesite = SameSite::Strict;
    });
    let mut client = site.client();
    let set = client.post("/set/a/1").await.set_cookies().remove(0);
    assert!(set.ends_with("; HttpOnly; SameSite=Strict; Secure; Path=/app; Domain=example.com"), "{set}");
    let removed = client.post("/logout").await.set_cookies();
    let expected = "sid=; HttpOnly; SameSite=Strict; Secure; Path=/app; Domain=example.com; Max-Age=0; \
                    Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(removed, [expected]);
    assert_eq!(site.client().post("/logout").await.set_cookies(), [""; 0], "who has no cookie is told of none");
}

async fn an_invalid_token_sends_no_cookie(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let real = client.cookie_header();
    site.clock.advance(25 * HOUR);
    for cookie in [real.as_str(), "sid=bad", "sid=", "sid=\"\"", "sid=%00"] {
        let answer = client.ask("GET", "/info", cookie).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0), "{cookie}");
        assert!(answer.text.starts_with("new=true len=0 "), "{}", answer.text);
        assert_eq!(
            client.ask("POST", "/set/a/1", cookie).await.set_cookies().len(),
            1,
            "a new one if the handler saves"
        );
    }
}

async fn a_cookie_of_an_old_secret_is_sent_again(backend: BackendKind) {
    let (old, new) = ("TuUkmI_riSAnpiUjIWvjKprNwdXYWAe5BeRK-XLzx8", "20qUqO1DxdGufG0f_B_ET39Xt68F2kY6kDl3RHczmng");
    let secret = |text: &str| Secret::new(text).unwrap();
    let before = Site::with(backend, |options| options.secrets = vec![secret(old)]);
    let mut client = before.client();
    client.post("/set/a/1").await;
    let old_cookie = client.cookie_header();
    let after = Site::with(backend, |options| options.secrets = vec![secret(new), secret(old)]);
    if backend != BackendKind::Cookie {
        // Both use the same store: each finds the other's data.
        let (key, entry) = before.spy.written.lock().unwrap()[0].clone();
        let _ = ampoule_core::Store::put(&*after.spy, key, entry, ampoule_core::PutMode::Create).await.unwrap();
    }
    client.app = after.app.clone();
    let answer = client.get("/get/a").await;
    assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("1", 1));
    assert_ne!(client.cookie_header(), old_cookie);
    let answer = client.get("/get/a").await;
    assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("1", 0), "once");
}

async fn auto_save_saves_changes(backend: BackendKind) {
    let site = Site::with(backend, |options| options.auto_save = true);
    let mut client = site.client();
    assert_eq!(client.get("/get/a").await.set_cookies(), [""; 0], "reading is no change");
    assert_eq!(client.post("/forget/a/1").await.set_cookies().len(), 1);
    assert_eq!(client.value("a").await, "1");
    let cookie = client.cookie_header();
    assert_eq!(client.post("/login-fails/ada").await.set_cookies(), [""; 0], "not after a 5xx");
    assert_eq!((client.value("user").await, client.cookie_header()), ("none".into(), cookie));
}

async fn read_only_access_writes_nothing(backend: BackendKind) {
    let site = Site::with(backend, |options| options.cookie.expires = CookieExpires::After(10 * HOUR));
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.clock.advance(9 * HOUR);
    site.spy.calls();
    let answer = client.get("/peek/a").await;
    assert_eq!((answer.text.as_str(), answer.set_cookies().len()), ("1", 0));
    assert_eq!(answer.headers["vary"], "Cookie");
    if backend != BackendKind::Cookie {
        assert_eq!(site.spy.calls(), [1, 0, 0, 0]);
    }
    site.clock.advance(15 * HOUR);
    assert_eq!(client.value("a").await, "none", "it did not keep the session alive");
}

async fn a_use_moves_the_idle_deadline_but_not_the_absolute_one(backend: BackendKind) {
    let site = Site::with(backend, |options| {
        options.idle_timeout = Some(10 * HOUR);
        options.absolute_timeout = Some(24 * HOUR);
    });
    let mut client = site.client();
    client.post("/set/a/1").await;
    for _ in 0..3 {
        site.clock.advance(7 * HOUR);
        assert_eq!(client.value("a").await, "1");
    }
    site.clock.advance(3 * HOUR - SECOND);
    assert_eq!(client.value("a").await, "1");
    site.clock.advance(SECOND);
    assert_eq!(client.value("a").await, "none");
}

#[tokio::test]
async fn a_cookie_session_is_split_and_shrinks_again() {
    let site = Site::new(BackendKind::Cookie);
    let mut client = site.client();
    let long = "x".repeat(5_000);
    client.post(&format!("/set/a/{long}")).await;
    assert_eq!(client.jar.keys().collect::<Vec<_>>(), ["sid", "sid.1"]);
    assert_eq!(client.value("a").await, long);
    let mut without_second = client.clone();
    without_second.jar.remove("sid.1");
    assert_eq!(without_second.value("a").await, "none", "half a session counts as no session");
    let shrunk = client.post("/set/a/1").await.set_cookies();
    assert!(shrunk.len() == 2 && shrunk[1].starts_with("sid.1=; ") && shrunk[1].contains("Max-Age=0"), "{shrunk:?}");
    assert_eq!((client.jar.len(), client.value("a").await), (1, "1".into()));
    let too_large = client.post(&format!("/set/b/{}", "x".repeat(7_000))).await;
    assert_eq!((too_large.status, too_large.set_cookies().len()), (StatusCode::PAYLOAD_TOO_LARGE, 0));
    assert_eq!(client.value("a").await, "1", "the old cookie stands");
    client.post(&format!("/set/a/{long}")).await;
    let removed = client.post("/logout").await.set_cookies();
    assert_eq!((removed.len(), client.jar.len()), (2, 0), "both pieces go");
}

#[tokio::test]
async fn the_priority_is_an_option_of_the_cookie_and_of_its_removal() {
    let usual = Site::new(BackendKind::Memory).client().post("/set/a/1").await.set_cookies().remove(0);
    assert!(!usual.contains("Priority"), "{usual}");
    for (priority, text) in [
        (CookiePriority::Low, "Priority=Low"),
        (CookiePriority::Medium, "Priority=Medium"),
        (CookiePriority::High, "Priority=High"),
    ] {
        for backend in [BackendKind::Memory, BackendKind::Cookie] {
            let mut client = Site::with(backend, |options| options.cookie.priority = Some(priority)).client();
            for path in ["/set/a/1", "/logout"] {
                let cookie = client.post(path).await.set_cookies().remove(0);
                assert_eq!(cookie.split("; ").filter(|part| *part == text).count(), 1, "{backend:?} {path} {cookie}");
            }
        }
    }
}

#[tokio::test]
async fn prefix_and_partition_are_options() {
    let site = Site::with(BackendKind::Memory, |options| {
        options.cookie.host_prefix = HostPrefix::Always;
        options.cookie.partitioned = true;
        options.cookie.samesite = SameSite::None;
    });
    let cookie = site.client().post("/set/a/1").await.set_cookies().remove(0);
    assert!(
        cookie.starts_with("__Host-sid=") && cookie.ends_with("; HttpOnly; SameSite=None; Partitioned; Secure; Path=/"),
        "{cookie}"
    );
}

async fn asked(layer: &SessionLayer, handler: impl AsyncFn(Session) -> HeaderMap) -> HeaderMap {
    let session = layer.begin(&HeaderMap::new());
    let mut headers = handler(session.clone()).await;
    layer.finish(&session, StatusCode::OK, &mut headers).await.unwrap();
    headers
}

#[tokio::test]
async fn vary_is_added_once_and_a_handlers_cache_control_is_kept() {
    let site = Site::new(BackendKind::Memory);
    for (before, after) in
        [("", "Cookie"), ("Accept", "Accept, Cookie"), ("accept, cookie", "accept, cookie"), ("*", "*")]
    {
        let headers = asked(&site.layer, async |session| {
            session.insert("a", 1).unwrap();
            session.save().await.unwrap();
            let mut headers = HeaderMap::new();
            if !before.is_empty() {
                headers.insert("vary", HeaderValue::from_static(before));
            }
            headers.insert("cache-control", HeaderValue::from_static("private, max-age=5"));
            headers
        });
        let headers = headers.await;
        let vary: Vec<_> = headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(vary.join(", "), after);
        assert_eq!(headers["cache-control"], "private, max-age=5");
    }
}

#[tokio::test]
async fn domain_and_path_can_be_set_by_the_request() {
    let site = Site::new(BackendKind::Memory);
    let headers = asked(&site.layer, async |session| {
        session.set_cookie_domain(".Shop.example").unwrap();
        session.set_cookie_path("/s").unwrap();
        for bad in ["a;b", "a\r\nSet-Cookie: x=y", "a\0", "a\x7f", ""] {
            assert!(session.set_cookie_domain(bad).is_err() && session.set_cookie_path(bad).is_err(), "{bad:?}");
            assert!(session.set_cookie_path(&format!("/{bad};")).is_err());
        }
        session.save().await.unwrap();
        HeaderMap::new()
    });
    let cookie = headers.await["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/s; Domain=shop.example"), "{cookie}");
}

/// Two layers under different names, as for a shop and its back office.
#[tokio::test]
async fn several_session_layers_coexist() {
    let clock = Arc::new(ampoule::ManualClock::default());
    let layer = |name: &str| {
        let mut options = options(clock.clone());
        options.cookie.name = name.into();
        SessionLayer::new(ampoule::MemoryStore::default(), options).unwrap()
    };
    let handler = async |session: Session| {
        let (shop, admin) = (session.named("shop").unwrap(), session.named("admin").unwrap());
        assert!(session.named("else").is_none());
        admin.update("n", |n: &mut u32| *n += 10).await.unwrap();
        admin.save().await.unwrap();
        shop.get::<u32>("n").await.unwrap().unwrap_or(0).to_string()
    };
    let app = Router::new().route("/", get(handler)).layer(layer("shop")).layer(layer("admin"));
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let answer = crate::support::answer(response).await;
    assert_eq!(answer.text, "0");
    assert!(
        answer.set_cookies().len() == 1 && answer.set_cookies()[0].starts_with("admin="),
        "{:?}",
        answer.set_cookies()
    );
}

#[tokio::test]
async fn a_missing_layer_is_a_clear_error() {
    let app: Router = Router::new().route("/", get(async |_: Session| "never"));
    let answer =
        crate::support::answer(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.text.contains("no SessionLayer is around its route: add .layer(sessions) after the route"),
        "{}",
        answer.text
    );
}

/// What this thread logs until the guard is dropped.
fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
    let lines = Log::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn unsaved_changes_are_logged_once_without_values() {
    let (lines, _listening) = listen();
    let site = Site::new(BackendKind::Memory);
    let mut client = site.client();
    client.post("/forget/colour/crimson").await;
    client.post("/set/a/1").await;
    client.post("/login-fails/ada").await;
    client.post("/same/a").await;
    let log = lines.text();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains(" WARN ") && log.contains("never saved") && log.contains("colour") && !log.contains("crimson"),
        "{log}"
    );
}

#[tokio::test]
async fn client_errors_are_not_logged_as_server_errors() {
    let (lines, _listening) = listen();
    let site = Site::new(BackendKind::Memory);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let mut late = client.clone();
    client.post("/logout").await;
    assert_eq!(late.post("/set/a/2").await.status, StatusCode::CONFLICT);
    let log = lines.text();
    assert!(log.contains(" INFO ") && !log.contains(" ERROR ") && !log.contains(" WARN "), "{log}");
}

/// Without `save_accessed_time` a use moves no deadline, and `expires` says so.
#[tokio::test]
async fn a_session_whose_uses_are_not_saved_ends_on_time() {
    for (save_accessed_time, expected) in [(true, 1_000_000), (false, 600_000)] {
        let site = Site::with(BackendKind::Memory, |options| {
            options.idle_timeout = Some(Duration::from_secs(600));
            options.save_accessed_time = save_accessed_time;
        });
        let mut client = site.client();
        client.post("/set/a/1").await;
        site.clock.advance(400 * SECOND);
        let info = client.get("/info").await.text;
        let millis = |name: &str| {
            let text = info.split(' ').find_map(|part| part.strip_prefix(name)).unwrap();
            text.parse::<u64>().unwrap()
        };
        assert_eq!(millis("expires=") - millis("created="), expected, "{info}");
        site.clock.advance(300 * SECOND);
        assert_eq!(client.value("a").await, if save_accessed_time { "1" } else { "none" });
    }
}

#[tokio::test]
async fn a_session_is_valid_until_its_deadline() {
    let site = Site::with(BackendKind::Memory, |options| options.idle_timeout = Some(Duration::from_secs(10)));
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.clock.advance(10 * SECOND - Duration::from_millis(1));
    assert_eq!(client.value("a").await, "1");
    site.clock.advance(10 * SECOND);
    assert_eq!(client.value("a").await, "none", "at its deadline it is gone");
}
