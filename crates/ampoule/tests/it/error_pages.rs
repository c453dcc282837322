//! Error pages for bare statuses, panics and errors, and the session of failed requests.

use crate::support::{Answer, BackendKind, Client, Site};
use ampoule::{
    CsrfLayer, Error, ErrorHandler, FailedRequest, Flash, Languages, ServerError, Session, SessionLayer, Stack,
    StatusCodeRedirect,
};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use http::{HeaderMap, Request, StatusCode};
use tower::{Layer, ServiceExt};

/// The whole stack of a site.
fn site(debug: bool) -> Site {
    site_with(BackendKind::Memory, debug, false)
}

fn site_with(backend: BackendKind, debug: bool, auto: bool) -> Site {
    let mut site = Site::with(backend, |options| options.auto_save = auto);
    let stack = stack(&site.layer, debug);
    site.app = Router::new().fallback_service(stack.layer(crate::support::site::routes().merge(routes())));
    site
}

fn stack(sessions: &SessionLayer, debug: bool) -> Stack {
    Stack::new(sessions.clone())
        .csrf(CsrfLayer::new().exempt(|_, uri| !uri.path().starts_with("/checked")))
        .languages(Languages::new(["en", "de"]).unwrap())
        .error_handler(ErrorHandler::new(debug))
        .status_code_redirect(StatusCodeRedirect::new("/error/document").unwrap().with_debug(debug))
}

async fn send(client: &Client, request: http::request::Builder) -> Answer {
    let request = request.header("cookie", client.cookie_header()).body(Body::empty()).unwrap();
    crate::support::answer(client.app.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn bare_statuses_become_the_application_s_own_page() {
    let site = site(false);
    let mut client = site.client();
    for status in [400, 401, 403, 404, 500] {
        let answer = client.post(&format!("/status/{status}?a=b")).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.text, format!("page: {status} of POST /status/{status}?a=b: plainly {status}"));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    for status in [200, 204, 302, 409, 422, 503] {
        let answer = client.post(&format!("/status/{status}")).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(!answer.text.contains("page:"), "{}", answer.text);
    }
    let nowhere = client.get("/no/such/route").await;
    assert_eq!((nowhere.status.as_u16(), nowhere.text.as_str()), (404, "page: 404 of GET /no/such/route: "));
    let refused = client.post("/checked").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("page: 403 of POST /checked: This request was refused"), "{}", refused.text);
}

#[tokio::test]
async fn meaningful_headers_of_the_first_response_are_kept() {
    let answer = site(false).client().get("/denied").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], "Basic");
    assert_eq!(answer.headers["x-first"], "kept");
    assert_eq!(answer.headers["x-page"], "kept too");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("etag"));
    assert_eq!(answer.headers["content-length"].to_str().unwrap(), answer.text.len().to_string());
}

/// A session that is created in a failing request gets its cookie, which Pylons lost.
#[tokio::test]
async fn the_error_page_sees_a_session_saved_in_the_failed_request() {
    let site = site(false);
    let mut client = site.client();
    let answer = client.get("/flash-then-403").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (403, "page: 403 of GET /flash-then-403: [come back later]")
    );
    assert_eq!(answer.set_cookies().len(), 1, "{:?}", answer.set_cookies());
    assert_eq!(client.value("seen").await, "by the error page");
    // And one that the first ended is ended for the page.
    let answer = client.get("/logout-then-403").await;
    assert!(client.jar.is_empty(), "{:?}", answer.set_cookies());
    assert_eq!(answer.text, "page: 403 of GET /logout-then-403: ");
}

#[tokio::test]
async fn the_error_page_is_never_redirected_itself() {
    let mut site = Site::new(BackendKind::Memory);
    let redirect = StatusCodeRedirect::new("/nowhere").unwrap();
    site.app = Router::new().fallback_service(redirect.layer(routes().layer(site.layer.clone())));
    let answer = site.client().get("/status/404").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "plainly 404"));
    // A direct request for the error page gets the page's own answer.
    let site = self::site(false);
    let itself = site.client().get("/error/document").await;
    assert_eq!((itself.status.as_u16(), itself.text.as_str()), (200, "page: nothing failed"));
    assert!(
        StatusCodeRedirect::new("error").unwrap_err().to_string().contains("expected a path such as /error/document")
    );
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_the_page() {
    let site = site(false);
    let answer = send(&site.client(), Request::head("/status/404")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, ""));
    assert_eq!(answer.headers["x-page"], "kept too");
}

fn number_in(text: &str) -> String {
    let number: String =
        text.split("number ").nth(1).unwrap().chars().filter(char::is_ascii_hexdigit).take(10).collect();
    assert_eq!(number.len(), 10, "{text}");
    number
}

#[tokio::test]
async fn a_panic_is_a_page_with_a_number_and_no_details() {
    let mut site = Site::new(BackendKind::Memory);
    site.app = Router::new().fallback_service(ErrorHandler::new(false).layer(routes().layer(site.layer.clone())));
    for path in ["/panic", "/panic-late", "/fails"] {
        let answer = site.client().get(path).await;
        assert_eq!((answer.status.as_u16(), answer.headers["cache-control"].to_str().unwrap()), (500, "no-store"));
        number_in(&answer.text);
        for detail in ["the disk", "error_pages.rs", "no such"] {
            assert!(!answer.text.contains(detail), "{}", answer.text);
        }
    }
    let html = send(&site.client(), Request::get("/panic").header("accept", "text/html,*/*;q=0.8")).await;
    assert_eq!(html.headers["content-type"], "text/html; charset=utf-8");
    assert!(html.text.starts_with("<!doctype html>") && !html.text.contains("the disk"), "{}", html.text);
    assert_eq!(site.client().get("/status/500").await.text, "plainly 500", "what a handler chose to say stays");
}

#[tokio::test]
async fn the_error_page_of_the_application_gets_the_number() {
    let site = site(false);
    let answer = site.client().get("/panic").await;
    assert_eq!(answer.status, 500);
    let number = answer.text.strip_prefix("page: 500 of GET /panic: ").unwrap().split(' ').next_back().unwrap();
    assert_eq!(number.len(), 10, "{}", answer.text);
}

#[tokio::test]
async fn with_debug_the_page_has_all_details() {
    let site = site(true);
    let answer = site.client().get("/panic").await;
    for detail in ["GET /panic", "panic: the disk is <gone>", "tests/it/error_pages.rs:", "error_pages::panics"] {
        assert!(answer.text.contains(detail), "{detail} is not in {}", answer.text);
    }
    let html = send(&site.client(), Request::get("/panic").header("accept", "text/html")).await;
    assert!(html.text.contains("the disk is &lt;gone&gt;") && !html.text.contains("<gone>"), "{}", html.text);
    let failed = site.client().get("/fails").await;
    assert!(failed.text.contains("error: the report cannot be read\nbecause: no such file"), "{}", failed.text);
    assert_eq!(site.client().get("/status/404").await.text, "page: 404 of GET /status/404: plainly 404");
}

async fn changes_of_a_failed_request_are_not_saved(backend: BackendKind) {
    for auto in [false, true] {
        let site = site_with(backend, false, auto);
        let mut client = site.client();
        client.post("/set/name/ada").await;
        for path in ["/change-then-panic", "/change-then-fail"] {
            assert_eq!(client.post(path).await.status, 500);
            assert_eq!(client.value("name").await, "ada", "{path}, auto {auto}");
        }
    }
}

on_each_place! { changes_of_a_failed_request_are_not_saved; }

/// The wrapper for any error does not hide what a session's error means.
#[tokio::test]
async fn an_outage_stays_an_outage() {
    let site = site(true);
    let mut client = site.client();
    client.post("/set/name/ada").await;
    site.spy.set_behaviour(crate::support::stores::StoreBehaviour::Refuses);
    let answer = client.post("/change-then-fail").await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(answer.text, "Your session cannot be reached at the moment. Please try again.\n");
}

/// Also with the error handler inside the session's layer, which is the wrong order.
#[tokio::test]
async fn a_failed_request_is_not_saved_in_any_order_of_layers() {
    let mut site = Site::with(BackendKind::Memory, |options| options.auto_save = true);
    let routes = crate::support::site::routes().merge(routes()).layer(ErrorHandler::new(false));
    site.app = routes.layer(site.layer.clone());
    let mut client = site.client();
    client.post("/set/name/ada").await;
    for path in ["/change-then-panic", "/change-then-fail"] {
        assert_eq!(client.post(path).await.status, 500);
        assert_eq!(client.value("name").await, "ada", "{path}");
    }
}

/// Of two nested redirects, the inner one renders its page, and the outer one the statuses that the inner one leaves.
#[tokio::test]
async fn an_error_page_is_not_rendered_again() {
    let site = Site::new(BackendKind::Memory);
    let inner = stack(&site.layer, false).layer(routes());
    let page = async |failed: FailedRequest| format!("outer page: {}", failed.status);
    let outer = Router::new().route("/outer", get(page)).fallback_service(inner);
    let outer = StatusCodeRedirect::new("/outer").unwrap().with_statuses([404, 409]).layer(outer);
    let mut client = site.client();
    client.app = Router::new().fallback_service(outer);
    assert_eq!(client.get("/status/404").await.text, "page: 404 of GET /status/404: plainly 404");
    assert_eq!(client.get("/status/409").await.text, "outer page: 409 Conflict");
}

/// With debug, 500 is left to the page with the details, also if the statuses are set afterwards.
#[tokio::test]
async fn debug_leaves_500_out_of_the_statuses_in_either_order() {
    let new = || StatusCodeRedirect::new("/error/document").unwrap();
    for layer in [new().with_debug(true).with_statuses([404, 500]), new().with_statuses([404, 500]).with_debug(true)] {
        let site = Site::new(BackendKind::Memory);
        let mut client = site.client();
        client.app = Router::new().fallback_service(layer.layer(routes().layer(site.layer.clone())));
        assert_eq!(client.get("/status/404").await.text, "page: 404 of GET /status/404: plainly 404");
        assert_eq!(client.get("/status/500").await.text, "plainly 500");
    }
}

#[tokio::test]
async fn a_session_without_its_layer_is_a_clear_error() {
    let app = Router::new().fallback_service(ErrorHandler::new(true).layer(routes()));
    let mut client = Site::new(BackendKind::Memory).client();
    client.app = app;
    let answer = client.ask("GET", "/flash-then-403", "").await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.text.contains("no SessionLayer is around its route: add .layer(sessions) after the route"),
        "{}",
        answer.text
    );
}

fn routes() -> Router {
    Router::new()
        .route("/status/{status}", post(status).get(status))
        .route("/error/document", get(error_page))
        .route("/denied", get(denied))
        .route("/checked", post(|| async { "checked" }))
        .route("/flash-then-403", get(flash_then_403))
        .route("/logout-then-403", get(logout_then_403))
        .route("/panic", get(panics))
        .route("/panic-late", get(panics_late))
        .route("/fails", get(fails))
        .route("/change-then-panic", post(change_then_panic))
        .route("/change-then-fail", post(change_then_fail))
}

async fn status(Path(status): Path<u16>) -> (StatusCode, String) {
    (StatusCode::from_u16(status).unwrap(), format!("plainly {status}"))
}

async fn error_page(
    failed: Option<FailedRequest>,
    session: Session,
    flash: Flash,
) -> Result<(HeaderMap, String), Error> {
    let mut headers = HeaderMap::new();
    headers.insert("x-page", "kept too".parse().unwrap());
    let Some(FailedRequest { status, method, uri, text, error_number, .. }) = failed else {
        return Ok((headers, "page: nothing failed".to_owned()));
    };
    let mut said = text;
    let messages = flash.pop_messages().await?;
    if !messages.is_empty() {
        session.insert("seen", "by the error page")?;
        session.save().await?;
        said = format!("{messages:?}", messages = messages.iter().map(|message| &*message.text).collect::<Vec<_>>())
            .replace('"', "");
    }
    if let Some(number) = error_number {
        said = format!("{said} {number}");
    }
    Ok((headers, format!("page: {} of {method} {uri}: {said}", status.as_u16(), uri = uri.path_and_query().unwrap())))
}

async fn denied() -> (StatusCode, [(&'static str, &'static str); 4], &'static str) {
    let headers =
        [("www-authenticate", "Basic"), ("x-first", "kept"), ("etag", "\"1\""), ("cache-control", "no-store")];
    (StatusCode::UNAUTHORIZED, headers, "denied")
}

async fn flash_then_403(session: Session, flash: Flash) -> Result<StatusCode, Error> {
    flash.warning("come back later")?;
    session.save().await?;
    Ok(StatusCode::FORBIDDEN)
}

async fn logout_then_403(session: Session) -> Result<StatusCode, Error> {
    session.logout().await?;
    Ok(StatusCode::FORBIDDEN)
}

async fn panics() -> &'static str {
    panic!("the disk is <gone>")
}

async fn panics_late() -> &'static str {
    tokio::task::yield_now().await;
    panic!("the disk is gone")
}

/// An error with a source that its `Display` does not repeat.
#[derive(Debug)]
struct Unreadable(std::io::Error);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the report cannot be read")
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

async fn fails() -> Result<&'static str, ServerError> {
    Err(Unreadable(std::io::Error::other("no such file")))?
}

async fn change_then_panic(session: Session) -> &'static str {
    session.insert("name", "none").unwrap();
    session.len().await.unwrap();
    panic!("after a change")
}

async fn change_then_fail(session: Session) -> Result<&'static str, ServerError> {
    session.insert("name", "none")?;
    session.len().await?;
    Err("after a change")?
}
