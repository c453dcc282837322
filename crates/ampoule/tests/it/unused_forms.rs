//! Sessions that contain only a form token: they live an hour, and are evicted from a full memory store.

use std::time::Duration;

use crate::support::{Answer, BackendKind, Client, Site};
use ampoule::{CsrfLayer, CsrfToken};
use ampoule_core::{MemoryBounds, Store};
use axum::Router;
use axum::routing::get;
use http::StatusCode;

const MINUTE: Duration = Duration::from_secs(60);

fn routes() -> Router {
    let form = get(|token: CsrfToken| async move { token.masked() });
    crate::support::site::routes().route("/form", form).layer(CsrfLayer::new())
}

fn with_forms(mut site: Site) -> Site {
    site.app = routes().layer(site.layer.clone());
    site
}

fn small_site(entries: usize) -> Site {
    let bounds = MemoryBounds { entries, bytes: 64 << 20, ..MemoryBounds::default() };
    with_forms(Site::at("memory:", |options| options.bounds = bounds, |_| {}))
}

/// A visitor who has seen a form, and its token.
async fn visitor(site: &Site) -> (Client, String) {
    let mut client = site.client();
    let token = client.get("/form").await.text;
    (client, token)
}

async fn submit(client: &mut Client, path: &str, token: &str) -> Answer {
    let request = http::Request::builder()
        .method("POST")
        .uri(path)
        .header("host", "site.test")
        .header("x-csrf-token", token)
        .header("cookie", client.cookie_header());
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = crate::support::answer(tower::ServiceExt::oneshot(client.app.clone(), request).await.unwrap()).await;
    client.keep(&answer);
    answer
}

#[tokio::test]
async fn p9_a_hundred_thousand_unused_forms_evict_no_session_and_lock_out_no_visitor() {
    let site = small_site(1_000);
    let mut sessions = Vec::new();
    for number in 0..500 {
        let (mut client, token) = visitor(&site).await;
        let path = if number % 2 == 0 { "/set/cart/1".to_owned() } else { format!("/login/user{number}") };
        assert_eq!(submit(&mut client, &path, &token).await.status, StatusCode::OK);
        sessions.push(client);
    }
    for number in 0..100_000 {
        let answer = site.client().get("/form").await;
        assert_eq!(answer.status, StatusCode::OK, "form {number}: {}", answer.text);
        if number % 5_000 == 0 {
            let (mut client, token) = visitor(&site).await;
            for _ in 0..100 {
                site.client().get("/form").await;
            }
            assert_eq!(submit(&mut client, "/set/cart/1", &token).await.status, StatusCode::OK, "form {number}");
            sessions.push(client);
        }
    }
    for (number, client) in sessions.iter_mut().enumerate() {
        let (key, expected) =
            if number < 500 && number % 2 == 1 { ("user", format!("user{number}")) } else { ("cart", "1".into()) };
        assert_eq!(client.value(key).await, expected, "session {number}");
    }
    assert!(site.spy.scan(None, 10_000).await.unwrap().keys.len() <= 1_000);
}

#[tokio::test]
async fn p9_an_unused_form_lives_an_hour_until_its_first_change() {
    for backend in [BackendKind::Memory, BackendKind::File, BackendKind::Sqlite, BackendKind::Cookie] {
        let site = with_forms(Site::new(backend));
        let ((mut late, late_token), (mut used, used_token)) = (visitor(&site).await, visitor(&site).await);
        let (mut idle, _) = visitor(&site).await;
        site.clock.advance(59 * MINUTE);
        assert_eq!(submit(&mut used, "/set/cart/1", &used_token).await.status, StatusCode::OK, "{backend:?}");
        let again = idle.get("/form").await;
        assert_eq!(
            again.set_cookies().len(),
            usize::from(backend == BackendKind::Cookie),
            "{backend:?}: the session is the same"
        );
        site.clock.advance(2 * MINUTE);
        assert_eq!(submit(&mut late, "/set/cart/1", &late_token).await.status, StatusCode::FORBIDDEN, "{backend:?}");
        // A look at the form has moved the end of that session by an hour.
        site.clock.advance(50 * MINUTE);
        assert_eq!(submit(&mut idle, "/set/cart/1", &again.text).await.status, StatusCode::OK, "{backend:?}");
        site.clock.advance(23 * 60 * MINUTE - 52 * MINUTE);
        assert_eq!(used.value("cart").await, "1", "{backend:?}: a session with data lives a day");
    }
}

#[tokio::test]
async fn p9_a_shorter_idle_timeout_applies_to_an_unused_form() {
    let mut site = Site::with(BackendKind::Memory, |options| options.idle_timeout = Some(10 * MINUTE));
    site = with_forms(site);
    let (mut client, token) = visitor(&site).await;
    site.clock.advance(11 * MINUTE);
    assert_eq!(submit(&mut client, "/set/cart/1", &token).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn p9_a_session_with_its_own_idle_timeout_is_not_an_unused_form() {
    let site = with_forms(Site::new(BackendKind::Memory));
    let (mut client, token) = visitor(&site).await;
    assert_eq!(submit(&mut client, "/remember/864000", &token).await.status, StatusCode::OK);
    site.clock.advance(5 * 24 * 60 * MINUTE);
    assert_eq!(submit(&mut client, "/set/cart/1", &token).await.status, StatusCode::OK);
}
