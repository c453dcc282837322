//! Login and logout: the new id, the principal, the time of the login and its freshness.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Answer, BackendKind, Client, HOUR, Site};
use ampoule::cache::{Backend, BackendOptions, Rate};
use ampoule::{
    Clock, Error, ErrorHandler, LoginAttempts, LoginThrottle, LoginThrottleOptions, Session, Stack, StatusCodeRedirect,
    testing,
};
use ampoule_core::{MemoryStore, Store};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use tower::{Layer, ServiceExt};

on_each_place! {
    a_login_rotates_and_stores_principal_and_time;
    a_login_over_another_user_starts_empty;
    a_login_restarts_the_absolute_timeout;
    pages_of_errors_keep_the_cookie_of_a_login;
}

on_backends! {
    tests_can_create_a_logged_in_client on Memory Cookie;
}

on_each_store! {
    an_error_page_does_not_confirm_a_login;
}

fn site(backend: BackendKind) -> Site {
    let mut site = Site::new(backend);
    site.app = crate::support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

async fn a_login_rotates_and_stores_principal_and_time(backend: BackendKind) {
    let site = site(backend);
    let mut client = site.client();
    client.post("/set/cart/tea").await;
    let before = client.jar.clone();
    assert_eq!(client.get("/private").await.status, 403);
    client.post("/log-in/ada").await;
    assert_ne!(client.jar, before);
    assert_eq!(client.get("/private").await.text, "ada");
    assert_eq!(client.value("cart").await, "tea");
    assert_eq!(client.get("/since").await.text, "0");
    site.clock.advance(HOUR);
    assert_eq!(client.get("/since").await.text, "0");
    assert_eq!(client.get("/private").await.text, "ada");
    let stale = client.get("/fresh/600").await;
    assert_eq!((stale.status.as_u16(), stale.text.as_str()), (403, "Please log in first.\n"));
    client.post("/log-in/ada").await;
    assert_eq!((client.get("/fresh/600").await.text, client.get("/since").await.text), ("ada".into(), "3600".into()));
    assert_eq!(client.value("cart").await, "tea");
}

async fn a_login_over_another_user_starts_empty(backend: BackendKind) {
    let site = site(backend);
    let mut client = site.client();
    client.post("/log-in/ada").await;
    client.post("/set/diary/secret").await;
    let ada = client.clone();
    client.post("/log-in/bob").await;
    assert_eq!(client.get("/private").await.text, "bob");
    assert_eq!(client.value("diary").await, "none");
    if backend != BackendKind::Cookie {
        assert_eq!(ada.clone().get("/private").await.status, 403, "the session has ended");
    }
}

/// A session ends after a month even if it is used; a login at its end starts a new month.
async fn a_login_restarts_the_absolute_timeout(backend: BackendKind) {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let site = site(backend);
    let mut client = site.client();
    client.post("/set/cart/tea").await;
    let stay = async |client: &mut Client, span: Duration| {
        let end = site.clock.now() + span;
        while site.clock.now() < end {
            site.clock.advance((12 * HOUR).min(end.since(site.clock.now())));
            client.get("/since").await;
        }
    };
    stay(&mut client, 30 * DAY - HOUR).await;
    assert_eq!(client.value("cart").await, "tea");
    let visitor = client.clone();
    client.post("/log-in/ada").await;
    site.clock.advance(2 * HOUR);
    assert_eq!((client.get("/private").await.text, client.value("cart").await), ("ada".into(), "tea".into()));
    assert_eq!(visitor.clone().value("cart").await, "none", "the visit has ended");
    stay(&mut client, 30 * DAY - 3 * HOUR).await;
    assert_eq!(client.get("/private").await.text, "ada");
    stay(&mut client, HOUR).await;
    assert_eq!(client.get("/private").await.status, 403, "thirty days after the login");
}

/// The handler fails after the login is saved, and an error page replaces its response.
async fn pages_of_errors_keep_the_cookie_of_a_login(backend: BackendKind) {
    let mut site = site(backend);
    for debug in [false, true] {
        let redirect = StatusCodeRedirect::new("/error/document").unwrap().with_debug(debug);
        let only_pages = Stack::new(site.layer.clone()).status_code_redirect(redirect.clone());
        let only_errors = Stack::new(site.layer.clone()).error_handler(ErrorHandler::new(debug));
        let both = only_errors.clone().status_code_redirect(redirect);
        for (stack, pages) in [(only_pages, true), (only_errors, false), (both, true)] {
            let page = get(|| async { "the page" });
            let routes = crate::support::site::routes().merge(routes()).route("/error/document", page);
            site.app = Router::new().fallback_service(stack.layer(routes));
            for path in ["/login-saved-then-fails/ada", "/login-error/ada", "/login-server-error/ada"] {
                let mut client = site.client();
                client.post("/set/cart/tea").await;
                let before = client.jar.clone();
                let answer = client.post(path).await;
                assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (500, 1), "{path}");
                // A debug page keeps the details of the error.
                assert!(!pages || debug || answer.text == "the page", "{path}: {}", answer.text);
                assert_ne!(client.jar, before);
                site.clock.advance(Duration::from_secs(6));
                assert_eq!(client.get("/private").await.text, "ada", "{path}");
                assert_eq!(client.value("cart").await, "tea");
            }
        }
    }
}

/// The error page reads and saves the session in a subrequest. The client has not received the login yet.
async fn an_error_page_does_not_confirm_a_login(backend: BackendKind) {
    let mut site = site(backend);
    let stack = Stack::new(site.layer.clone()).status_code_redirect(StatusCodeRedirect::new("/page").unwrap());
    let page = get(async |session: Session| -> Result<String, Error> {
        session.insert("seen", "yes")?;
        session.save().await?;
        Ok(session.principal().await?.unwrap_or_else(|| "none".into()))
    });
    let fails = async |session: Session| -> Result<StatusCode, Error> {
        session.regenerate_id();
        session.save().await?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let routes =
        crate::support::site::routes().merge(routes()).route("/page", page).route("/rotation-fails", post(fails));
    site.app = Router::new().fallback_service(stack.layer(routes));
    for (path, user) in [("/login-saved-then-fails/ada", "ada"), ("/rotation-fails", "none")] {
        let mut client = site.client();
        client.post("/set/cart/tea").await;
        let lost = client.ask("POST", path, client.cookie_header()).await;
        assert_eq!((lost.status.as_u16(), lost.text.as_str(), lost.set_cookies().len()), (500, user, 1));
        site.clock.advance(Duration::from_secs(6));
        assert_eq!(client.value("cart").await, "tea", "{path}: the response is lost, and the old token still works");
        assert_eq!(client.post("/set/more/milk").await.status, 200, "{path}");
        assert_eq!((client.value("cart").await, client.value("more").await), ("tea".into(), "milk".into()), "{path}");
        // And where it is not lost, the first request of the client itself is the sign.
        let mut client = site.client();
        client.post("/set/cart/tea").await;
        let old = client.clone();
        client.post(path).await;
        assert_eq!((client.value("cart").await, client.value("seen").await), ("tea".into(), "yes".into()));
        site.clock.advance(Duration::from_secs(6));
        assert_eq!(old.ask("GET", "/get/cart", old.cookie_header()).await.text, "none", "{path}");
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_and_can_clear_the_browser() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/log-in/ada").await;
    let copied = client.clone();
    let answer = client.post("/log-out").await;
    assert_eq!(answer.headers["clear-site-data"], "\"cache\", \"storage\"");
    assert!(client.jar.is_empty());
    assert_eq!(copied.clone().get("/private").await.status, 403);
    assert!(!client.get("/since").await.headers.contains_key("clear-site-data"));
}

#[tokio::test]
async fn a_visitor_was_never_authenticated() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    assert_eq!(client.get("/since").await.text, "never");
    assert_eq!(client.get("/fresh/600").await.status, 403);
    // Also a user with a principal but without authentication.
    client.post("/principal/ada").await;
    assert_eq!(client.get("/private").await.text, "ada");
    assert_eq!(
        (client.get("/since").await.text.as_str(), client.get("/fresh/600").await.status.as_u16()),
        ("never", 403)
    );
}

/// An attacker who planted a visitor's session may know its form token.
#[tokio::test]
async fn the_form_token_changes_at_login_and_survives_rotation() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    let visitor_s = client.get("/token").await.text;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "true");
    client.post("/regenerate").await;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "true");
    client.post("/log-in/ada").await;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "false");
    let own = client.get("/token").await.text;
    client.post("/regenerate").await;
    assert_eq!(client.get(&format!("/verify/{own}")).await.text, "true");
    client.post("/log-in/ada").await;
    assert_eq!(client.get(&format!("/verify/{own}")).await.text, "false", "also of the same user again");
    let own = client.get("/token").await.text;
    client.post("/log-out").await;
    assert_eq!(client.get(&format!("/verify/{own}")).await.text, "false");
}

fn routes() -> Router {
    Router::new()
        .route("/log-in/{user}", post(log_in))
        .route("/log-out", post(log_out))
        .route("/private", get(|session: Session| async move { session.require_login().await }))
        .route("/fresh/{seconds}", get(fresh))
        .route("/since", get(since))
        .route("/token", get(|session: Session| async move { session.csrf_token().await.map(|token| token.masked()) }))
        .route("/verify/{token}", get(verify))
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<(), Error> {
    session.login(&user).await?;
    session.save().await
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.clear_site_data();
    session.logout().await
}

async fn fresh(session: Session, Path(seconds): Path<u64>) -> Result<String, Error> {
    session.require_fresh(Duration::from_secs(seconds)).await
}

/// In seconds after the creation of the session.
async fn since(session: Session) -> Result<String, Error> {
    let (proved, made) = (session.authenticated_at().await?, session.created().await?);
    Ok(proved.map_or_else(|| "never".to_owned(), |proved| proved.since(made).as_secs().to_string()))
}

async fn verify(session: Session, Path(token): Path<String>) -> Result<String, Error> {
    session.verify_csrf_token(&token).await.map(|right| right.to_string())
}

/// The first request of a login rotates slowly, while its user logs in again: its response arrives last, and must not
/// contain the token of the previous session.
#[tokio::test]
async fn a_slow_first_request_of_a_login_does_not_overwrite_the_next_logins_cookie() {
    let mut site = site(BackendKind::Memory);
    let slow = post(|session: Session| async move {
        session.regenerate_id();
        session.save().await?;
        let gate = crate::support::site::gate("rotates-slowly").await;
        gate.loaded.add_permits(1);
        gate.go_on.acquire().await.unwrap().forget();
        Ok::<_, Error>("rotated")
    });
    let more = routes().route("/rotate-slowly", slow);
    site.app = crate::support::site::routes().merge(more).layer(site.layer.clone());
    let mut client = site.client();
    client.post("/set/cart/tea").await;
    client.post("/log-in/ada").await;
    let mut slow = client.clone();
    let slow = tokio::spawn(async move { slow.post("/rotate-slowly").await });
    let gate = crate::support::site::gate("rotates-slowly").await;
    gate.loaded.acquire().await.unwrap().forget();
    client.post("/log-in/ada").await;
    gate.go_on.add_permits(1);
    let late = slow.await.unwrap();
    assert_eq!(
        (late.status, late.set_cookies()),
        (StatusCode::OK, Vec::new()),
        "the next login has frozen the session"
    );
    client.keep(&late);
    site.clock.advance(6 * crate::support::SECOND);
    assert_eq!(client.get("/private").await.text, "ada");
}

async fn tests_can_create_a_logged_in_client(backend: BackendKind) {
    let site = site(backend);
    let cookies = testing::logged_in(&site.layer, "ada").await.unwrap();
    let client = site.client();
    assert_eq!(client.ask("GET", "/private", &cookies).await.text, "ada");
    assert_eq!(client.ask("GET", "/private", "sid=made-up").await.status, StatusCode::FORBIDDEN);
    let session = site.layer.begin(&Default::default());
    session.login("eve").await.unwrap();
    // Two pieces, where the cookie holds the session.
    session.insert("cart", "x".repeat(4_000)).unwrap();
    let cookies = testing::cookies_of(&site.layer, &session).await.unwrap();
    assert_eq!(client.ask("GET", "/private", &cookies).await.text, "eve");
    assert_eq!(client.ask("GET", "/get/cart", &cookies).await.text.len(), 4_000);
}

/// One password is right for all users.
async fn try_password(
    session: Session,
    logins: LoginAttempts,
    Path((name, password)): Path<(String, String)>,
) -> axum::response::Result<axum::response::Response> {
    let attempt = logins.begin(&name).await?;
    // As long as a hash takes, so that guesses which are sent at once overlap.
    tokio::task::yield_now().await;
    if password != "right" {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    session.login(&name).await?;
    session.save().await?;
    Ok((attempt.succeeded().await, name).into_response())
}

const RATES: [Rate; 3] = [Rate::new(4, HOUR), Rate::new(12, HOUR), Rate::new(3, HOUR)];

/// A node of a site with a throttle whose counts are in this store.
fn throttled(store: &Arc<dyn Store>, change: impl FnOnce(&mut LoginThrottleOptions)) -> Site {
    let mut site = Site::new(BackendKind::Memory);
    let backend = BackendOptions { clock: site.clock.clone(), ..BackendOptions::default() };
    let [by_principal, by_address, by_known_device] = RATES;
    let mut options =
        LoginThrottleOptions { by_principal, by_address, by_known_device, ..LoginThrottleOptions::default() };
    change(&mut options);
    let throttle = LoginThrottle::new(&site.layer, &Backend::store(store.clone(), &backend), options).unwrap();
    let routes = Router::new().route("/in/{name}/{password}", post(try_password)).layer(throttle);
    site.app = crate::support::site::routes().merge(routes).layer(site.layer.clone());
    site
}

async fn attempt(client: &mut Client, from: &str, name: &str, password: &str) -> Answer {
    let address = SocketAddr::new(from.parse().unwrap(), 4_711);
    let request = Request::post(format!("/in/{name}/{password}")).header("cookie", client.cookie_header());
    let request = request.extension(ConnectInfo(address)).body(Body::empty()).unwrap();
    let answer = crate::support::answer(client.app.clone().oneshot(request).await.unwrap()).await;
    client.keep(&answer);
    answer
}

/// The number of guesses of 20 that are not throttled.
async fn guesses(client: &Client, name: &str, from: impl Fn(u8) -> String) -> usize {
    let mut passed = 0;
    for number in 0..20 {
        let answer = attempt(&mut client.clone(), &from(number), name, "wrong").await;
        passed += usize::from(answer.status != StatusCode::TOO_MANY_REQUESTS);
    }
    passed
}

#[tokio::test]
async fn guessing_is_throttled_without_locking_out_known_devices() {
    let site = throttled(&(Arc::new(MemoryStore::default()) as _), |_| {});
    let (mut ada, attacker) = (site.client(), site.client());
    assert_eq!(attempt(&mut ada, "192.0.2.1", "ada", "right").await.text, "ada");
    let device = ada.jar.get("sid-device").expect("the device is known").clone();
    ada.post("/logout").await;
    assert_eq!(ada.jar.keys().collect::<Vec<_>>(), ["sid-device"], "and stays so after the logout");
    // From many addresses, also from that of the user.
    assert_eq!(guesses(&attacker, "ada", |number| format!("203.0.113.{number}")).await, 4);
    assert_eq!(guesses(&attacker, "ada", |_| "192.0.2.1".into()).await, 0);
    let refused = attempt(&mut attacker.clone(), "192.0.2.9", "ada", "right").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "the right password makes no difference");
    assert_eq!(
        (&refused.headers["retry-after"], &refused.headers["cache-control"]),
        (&"900".parse().unwrap(), &"no-store".parse().unwrap())
    );
    for _ in 0..10 {
        assert_eq!(attempt(&mut ada, "192.0.2.1", "ada", "right").await.text, "ada", "successes are not counted");
    }
    assert_ne!(ada.jar["sid-device"], device, "each login has a number of its own");
    // The known device guesses wrong.
    assert_eq!(guesses(&ada, "ada", |_| "192.0.2.1".into()).await, 3);
    // A device is known only for its own principal; the cookie of another user's device does not help.
    assert_eq!(attempt(&mut ada.clone(), "192.0.2.77", "eve", "right").await.status, StatusCode::OK);
    let mut forger = site.client();
    attempt(&mut forger, "198.51.100.1", "mallory", "right").await;
    assert_eq!(attempt(&mut forger, "198.51.100.1", "ada", "right").await.status, StatusCode::TOO_MANY_REQUESTS);
    site.clock.advance(HOUR / 4);
    assert_eq!(attempt(&mut forger, "198.51.100.1", "ada", "wrong").await.status, StatusCode::FORBIDDEN);
    assert_eq!(attempt(&mut forger, "198.51.100.1", "ada", "wrong").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_address_is_throttled_over_all_names_and_ipv6_by_network() {
    let site = throttled(&(Arc::new(MemoryStore::default()) as _), |_| {});
    for (network, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::", "2001:db8:1:3::1")] {
        let mut passed = 0;
        for number in 0..20 {
            let from = if network.ends_with(':') { format!("{network}{number}:9") } else { network.to_owned() };
            let name = format!("user-{}-{number}", network.len());
            passed +=
                usize::from(attempt(&mut site.client(), &from, &name, "wrong").await.status == StatusCode::FORBIDDEN);
        }
        assert_eq!(passed, 12, "{network}");
        assert_eq!(attempt(&mut site.client(), other, "ada", "right").await.status, StatusCode::OK);
    }
    // A successful login takes its own count back, and none of the others.
    let refused = attempt(&mut site.client(), "192.0.2.1", "mallory", "right").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Each reads the count before any other has written it.
#[tokio::test]
async fn concurrent_guesses_on_two_nodes_are_counted() {
    let spy = Arc::new(crate::support::stores::SpyStore::new(Arc::new(MemoryStore::default())));
    spy.set_behaviour(crate::support::stores::StoreBehaviour::Yields);
    let store: Arc<dyn Store> = spy;
    let nodes = [throttled(&store, |_| {}), throttled(&store, |_| {})];
    let guesses = (0..100_u8).map(|number| {
        let mut client = nodes[usize::from(number % 2)].client();
        tokio::spawn(async move { attempt(&mut client, &format!("203.0.113.{number}"), "ada", "wrong").await.status })
    });
    let mut passed = 0;
    for guess in guesses.collect::<Vec<_>>() {
        passed += usize::from(guess.await.unwrap() == StatusCode::FORBIDDEN);
    }
    assert_eq!(passed, 4);
}

#[tokio::test]
async fn a_device_is_known_for_its_last_four_users() {
    let site = throttled(&(Arc::new(MemoryStore::default()) as _), |_| {});
    let mut family = site.client();
    for name in ["a", "b", "c", "d", "e", "b"] {
        assert_eq!(attempt(&mut family, "192.0.2.1", name, "right").await.text, name);
    }
    assert_eq!(family.jar["sid-device"].split('.').count(), 4);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(guesses(&site.client(), name, |number| format!("203.0.113.{number}")).await, 4);
        let status = attempt(&mut family.clone(), "192.0.2.1", name, "right").await.status;
        assert_eq!(status == StatusCode::OK, name != "a", "{name}");
    }
    let marks = family.jar["sid-device"].clone();
    for broken in ["", ".", "ä", &"x".repeat(65), &marks[1..], &marks[..40], &[&*marks; 40].join(".")] {
        family.jar.insert("sid-device".into(), broken.to_owned());
        let answer = attempt(&mut family, "198.51.100.7", "zoe", "right").await;
        assert_eq!(answer.status, StatusCode::OK, "{broken}");
        assert!(family.jar["sid-device"].len() <= 4 * 66);
    }
}

#[tokio::test]
async fn a_throttle_that_cannot_count_refuses_and_names_the_cause() {
    let spy = Arc::new(crate::support::stores::SpyStore::new(Arc::new(MemoryStore::default())));
    let site = throttled(&(spy.clone() as _), |_| {});
    spy.set_behaviour(crate::support::stores::StoreBehaviour::Refuses);
    let answer = attempt(&mut site.client(), "192.0.2.1", "ada", "right").await;
    assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    let unconnected = site.client().post("/in/ada/right").await;
    assert!(
        unconnected.status == 500 && unconnected.text.contains("into_make_service_with_connect_info"),
        "{unconnected:?}"
    );
    let mut bare = site.client();
    bare.app = Router::new().route("/in/{name}/{password}", post(try_password)).layer(site.layer.clone());
    let answer = bare.post("/in/ada/right").await;
    assert!(answer.status == 500 && answer.text.contains("LoginThrottle"), "{answer:?}");
    // Behind a proxy: the address from the application is used; without one, only the principal is counted.
    let of_header = |parts: &http::request::Parts| -> Option<IpAddr> {
        parts.headers.get("cookie")?.to_str().ok()?.strip_prefix("ip=")?.parse().ok()
    };
    let site =
        throttled(&(Arc::new(MemoryStore::default()) as _), |options| options.address = Some(Arc::new(of_header)));
    let mut client = site.client();
    client.jar.insert("ip".into(), "192.0.2.1".into());
    let mut passed = 0;
    for number in 0..20 {
        passed +=
            usize::from(client.clone().post(&format!("/in/u{number}/wrong")).await.status == StatusCode::FORBIDDEN);
    }
    assert_eq!(passed, 12);
    assert_eq!(site.client().post("/in/ada/right").await.status, StatusCode::OK);
}
