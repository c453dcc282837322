//! Protected routes, requested by a browser, a script and a program.

use std::time::Duration;

use crate::support::stores::StoreBehaviour;
use crate::support::{Answer, BackendKind, Client, Site, answer};
use ampoule::{Error, ErrorKind, NextPage, Options, OutagePolicy, RequireLogin, Session, Transport};
use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use http::{HeaderName, Request, StatusCode};
use tower::ServiceExt;

const FIVE_MINUTES: Duration = Duration::from_secs(300);

async fn is_admin(session: Session) -> Result<bool, Error> {
    Ok(session.principal().await?.as_deref() == Some("admin"))
}

async fn owns((session, Path(user)): (Session, Path<String>)) -> Result<bool, Error> {
    Ok(session.principal().await? == Some(user))
}

fn routes() -> Router {
    let inner = Router::new().route("/deep", get(|| async { "deep" })).route_layer(RequireLogin::new("/login"));
    let account = Router::new()
        .route("/password", get(|| async { "password" }).post(|| async { "changed" }))
        .route_layer(RequireLogin::new("/login?why=fresh").fresh(FIVE_MINUTES))
        .route("/orders", get(|| async { "orders" }))
        .route("/of/{user}", get(|| async { "own" }).route_layer(RequireLogin::new("/login").permit(owns)))
        .route_layer(RequireLogin::new("/login"))
        .nest("/inner", inner);
    let admin = Router::new()
        .route("/", get(|| async { "admin" }))
        .fallback(|| async { "an unknown page of the admin's" })
        .layer(RequireLogin::new("/login").permit(is_admin));
    let broken = |_: Session| async { Err(Error::new(ErrorKind::Unavailable, "the database is away")) };
    Router::new()
        .route("/public", get(|| async { "public" }))
        .route("/login", get(|next: NextPage| async move { next.or("nowhere").to_owned() }))
        .route("/broken", get(|| async { "broken" }).layer(RequireLogin::new("/login").permit(broken)))
        .nest("/account", account)
        .nest("/admin", admin)
        .merge(Router::new().route("/merged", post(|| async { "merged" })).route_layer(RequireLogin::new("/login")))
        .route("/loop", get(|| async { "loop" }).layer(RequireLogin::new("/loop")))
}

fn site_with(change: impl FnOnce(&mut Options)) -> Site {
    let mut site = Site::with(BackendKind::Memory, change);
    site.app = crate::support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

fn site() -> Site {
    site_with(|_| {})
}

async fn ask(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("cookie", client.cookie_header());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = axum::body::Body::empty();
    answer(client.app.clone().oneshot(request.body(body).unwrap()).await.unwrap()).await
}

/// A request with the headers of a browser that opens a page.
async fn open(client: &Client, path: &str) -> Answer {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    ask(client, "GET", path, &[("accept", accept), ("sec-fetch-mode", "navigate")]).await
}

async fn logged_in(site: &Site, user: &str) -> Client {
    let mut client = site.client();
    client.post(&format!("/login/{user}")).await;
    client.get("/principal").await;
    client
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name.parse::<HeaderName>().unwrap()).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_browser_is_redirected_to_the_login_page_and_back() {
    let site = site();
    let visitor = site.client();
    for (path, location) in [
        ("/account/orders", "/login?next=%2Faccount%2Forders"),
        ("/account/orders?open=1&sort=a%20b", "/login?next=%2Faccount%2Forders%3Fopen%3D1%26sort%3Da%2520b"),
        ("/account/inner/deep?x", "/login?next=%2Faccount%2Finner%2Fdeep%3Fx"),
        ("/account/password", "/login?next=%2Faccount%2Fpassword"),
        ("/admin", "/login?next=%2Fadmin"),
        ("/admin/unknown", "/login?next=%2Fadmin%2Funknown"),
        ("/admin//evil.example", "/login"),
        ("/admin/%2e%2e//evil", "/login"),
    ] {
        let refused = open(&visitor, path).await;
        assert_eq!((refused.status, header(&refused, "location")), (StatusCode::SEE_OTHER, location), "{path}");
        assert_eq!((header(&refused, "vary"), header(&refused, "cache-control")), ("Cookie", "no-store"), "{path}");
        assert!(refused.set_cookies().is_empty(), "a refusal makes no session");
    }
    let refused = open(&visitor, "/account/orders?open=1").await;
    assert_eq!(open(&visitor, header(&refused, "location")).await.text, "/account/orders?open=1");
    assert_eq!(open(&visitor, "/login?next=//evil.example").await.text, "nowhere");

    let ada = logged_in(&site, "ada").await;
    for (path, text) in
        [("/account/orders", "orders"), ("/account/inner/deep", "deep"), ("/account/password", "password")]
    {
        let allowed = open(&ada, path).await;
        assert_eq!((allowed.status, &*allowed.text), (StatusCode::OK, text), "{path}");
        assert_eq!(header(&allowed, "vary"), "Cookie");
    }
}

#[tokio::test]
async fn requests_other_than_page_loads_get_a_status() {
    let site = site();
    let visitor = site.client();
    type Headers = &'static [(&'static str, &'static str)];
    let requests: [(&str, &str, Headers); 6] = [
        ("GET", "/account/orders", &[]),
        ("GET", "/account/orders", &[("accept", "*/*")]),
        ("GET", "/account/orders", &[("accept", "application/json, text/html;q=0")]),
        ("GET", "/account/orders", &[("accept", "text/html"), ("sec-fetch-mode", "cors")]),
        ("POST", "/merged", &[("accept", "text/html"), ("sec-fetch-mode", "navigate")]),
        ("GET", "/loop?x", &[("accept", "text/html")]),
    ];
    for (method, path, headers) in requests {
        let refused = ask(&visitor, method, path, headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path} {headers:?}");
        assert_eq!(refused.text, "Please log in first.\n");
        assert_eq!((header(&refused, "vary"), header(&refused, "cache-control")), ("Cookie", "no-store"));
        assert_eq!(header(&refused, "www-authenticate"), "", "a form is no scheme");
    }
    let head = ask(&visitor, "HEAD", "/account/orders", &[("accept", "text/html")]).await;
    assert_eq!(head.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_program_gets_a_challenge() {
    let site = site_with(|options| options.transports = vec![Transport::Bearer, Transport::Cookie]);
    let visitor = site.client();
    let challenge = |headers: &'static [(&'static str, &'static str)], path: &'static str| {
        let visitor = visitor.clone();
        async move {
            let refused = ask(&visitor, "GET", path, headers).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
            header(&refused, "www-authenticate").to_owned()
        }
    };
    assert_eq!(challenge(&[], "/account/orders").await, "Bearer realm=\"session\"");
    assert_eq!(challenge(&[], "/account/password").await, "Bearer realm=\"session\"");
    assert_eq!(challenge(&[("authorization", "Bearer x")], "/account/orders").await, "Bearer error=\"invalid_token\"");

    let session = site.layer.begin(&http::HeaderMap::new());
    session.login("ada").await.unwrap();
    session.save().await.unwrap();
    let bearer = format!("Bearer {}", session.token().await.unwrap().unwrap().as_str());
    let headers = [("authorization", &*bearer)];
    assert_eq!(ask(&visitor, "POST", "/account/password", &headers).await.text, "changed");
    site.clock.advance(FIVE_MINUTES + Duration::from_millis(1));
    let stale = ask(&visitor, "POST", "/account/password", &headers).await;
    let expected = "Bearer error=\"insufficient_user_authentication\", max_age=\"300\"";
    assert_eq!((stale.status, header(&stale, "www-authenticate")), (StatusCode::UNAUTHORIZED, expected));
    assert_eq!(ask(&visitor, "GET", "/account/orders", &headers).await.text, "orders");
}

#[tokio::test]
async fn an_old_login_must_be_repeated() {
    let site = site();
    let mut ada = logged_in(&site, "ada").await;
    site.clock.advance(FIVE_MINUTES);
    assert_eq!(open(&ada, "/account/password").await.text, "password");
    site.clock.advance(Duration::from_millis(1));
    let stale = open(&ada, "/account/password").await;
    assert_eq!(header(&stale, "location"), "/login?why=fresh&next=%2Faccount%2Fpassword");
    assert_eq!(ask(&ada, "POST", "/account/password", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(open(&ada, "/account/orders").await.text, "orders");
    ada.post("/login/ada").await;
    assert_eq!(ask(&ada, "POST", "/account/password", &[]).await.text, "changed");
}

#[tokio::test]
async fn a_user_without_the_permission_is_not_sent_to_the_login_page() {
    let site = site();
    let (ada, admin) = (logged_in(&site, "ada").await, logged_in(&site, "admin").await);
    let refused = open(&ada, "/admin").await;
    assert_eq!((refused.status, &*refused.text), (StatusCode::FORBIDDEN, "You may not do this.\n"));
    assert_eq!((header(&refused, "vary"), header(&refused, "cache-control")), ("Cookie", "no-store"));
    assert_eq!(open(&ada, "/admin/unknown").await.status, StatusCode::FORBIDDEN);
    assert_eq!(open(&admin, "/admin").await.text, "admin");
    assert_eq!(open(&admin, "/admin/unknown").await.text, "an unknown page of the admin's");
    assert_eq!(open(&ada, "/account/of/ada").await.text, "own");
    assert_eq!(open(&ada, "/account/of/eve").await.status, StatusCode::FORBIDDEN);
    assert_eq!(open(&ada, "/broken").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn unprotected_routes_are_unchanged_and_cost_nothing() {
    let site = site();
    let ada = logged_in(&site, "ada").await;
    site.spy.calls();
    let public = open(&ada, "/public").await;
    assert_eq!((&*public.text, header(&public, "vary")), ("public", ""));
    assert_eq!(open(&ada, "/account/unknown").await.status, StatusCode::NOT_FOUND, "route_layer leaves the fallback");
    assert_eq!(site.spy.calls(), [0; 4]);
    open(&ada, "/account/orders").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "one to load");
}

#[tokio::test]
async fn an_outage_is_not_a_missing_login() {
    let site = site_with(|options| options.on_outage = OutagePolicy::Anonymous);
    let ada = logged_in(&site, "ada").await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(open(&ada, "/account/orders").await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(open(&ada, "/account/orders").await.text, "orders");
}

#[tokio::test]
async fn without_a_session_layer_the_error_names_it() {
    let mut site = site();
    site.app = routes();
    let answer = open(&site.client(), "/account/orders").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text.contains("SessionLayer"), "{}", answer.text);
}

#[test]
#[should_panic(expected = "expected the path of a login page")]
fn an_invalid_login_path_is_refused_at_start() {
    let _ = RequireLogin::new("/login\r\nSet-Cookie: a=b");
}
