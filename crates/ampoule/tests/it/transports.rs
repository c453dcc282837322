//! Sessions without cookies: by bearer token, by a header, by a function, by the application itself, and by several
//! transports.

use crate::support::{Answer, BackendKind, SECRET, Site};
use ampoule::{Error, Options, Session, SessionLayer, Settings, Transport};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::post;
use http::{HeaderName, Request};
use tower::ServiceExt;

fn by(transports: impl IntoIterator<Item = Transport>) -> Site {
    let transports = transports.into_iter().collect();
    with_routes(Site::with(BackendKind::Memory, |options| options.transports = transports))
}

fn with_routes(mut site: Site) -> Site {
    site.app = crate::support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

fn header() -> Transport {
    Transport::Header(HeaderName::from_static("x-session-id"))
}

async fn send(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("http://site.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    crate::support::answer(site.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

/// A session of one value, by its token.
async fn token(site: &Site, who: &str) -> String {
    let token = send(site, "POST", "/new-token", &[]).await.text;
    let bearer = format!("Bearer {token}");
    let set = send(site, "POST", &format!("/set/who/{who}"), &[("authorization", &bearer)]).await;
    assert_eq!(set.status, 200, "{}", set.text);
    token
}

fn vary(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap());
    values.flat_map(|value| value.split(", ")).map(str::to_ascii_lowercase).collect()
}

#[tokio::test]
async fn a_bearer_s_session_needs_no_cookie() {
    let site = by([Transport::Bearer]);
    let new = send(&site, "POST", "/new-token", &[]).await;
    assert!(new.set_cookies().is_empty());
    assert_eq!(new.headers["cache-control"], "no-store");
    let credentials = format!("Bearer {}", new.text);
    let set = send(&site, "POST", "/set/a/1", &[("authorization", &credentials)]).await;
    assert!(set.set_cookies().is_empty());
    let got = send(&site, "GET", "/get/a", &[("authorization", &credentials)]).await;
    assert_eq!((got.text.as_str(), vary(&got)), ("1", vec!["authorization".to_owned()]));
    // A cookie means nothing here, nor does another scheme.
    let cookie = format!("sid={}", new.text);
    let basic = format!("Basic {}", new.text);
    for other in [("cookie", cookie.as_str()), ("authorization", basic.as_str()), ("x-session-id", &new.text)] {
        assert_eq!(send(&site, "GET", "/get/a", &[other]).await.text, "none", "{other:?}");
    }
}

#[tokio::test]
async fn a_header_carries_the_token_both_ways() {
    let site = by([header()]);
    let set = send(&site, "POST", "/set/a/1", &[]).await;
    let first = set.headers["x-session-id"].to_str().unwrap().to_owned();
    assert_eq!((set.set_cookies().len(), &set.headers["cache-control"]), (0, &"no-store".parse().unwrap()));
    let got = send(&site, "GET", "/get/a", &[("x-session-id", &first)]).await;
    assert_eq!((got.text.as_str(), vary(&got)), ("1", vec!["x-session-id".to_owned()]));
    assert!(!got.headers.contains_key("x-session-id"), "it has not changed");
    let login = send(&site, "POST", "/login/ada", &[("x-session-id", &first)]).await;
    let second = login.headers["x-session-id"].to_str().unwrap();
    assert_ne!(second, first);
    assert_eq!(send(&site, "GET", "/get/user", &[("x-session-id", second)]).await.text, "ada");
    send(&site, "POST", "/logout", &[("x-session-id", second)]).await;
    assert_eq!(send(&site, "GET", "/get/user", &[("x-session-id", second)]).await.text, "none");
}

#[tokio::test]
async fn a_function_can_find_the_token_anywhere() {
    let find =
        |headers: &http::HeaderMap| headers.get("x-device")?.to_str().ok()?.strip_prefix("v1/").map(str::to_owned);
    let site = by([Transport::function(find)]);
    let token = send(&site, "POST", "/new-token", &[]).await.text;
    let device = format!("v1/{token}");
    send(&site, "POST", "/set/a/1", &[("x-device", &device)]).await;
    let got = send(&site, "GET", "/get/a", &[("x-device", &device)]).await;
    assert_eq!((got.text.as_str(), vary(&got)), ("1", vec!["*".to_owned()]));
    assert_eq!(send(&site, "GET", "/get/a", &[("x-device", &token)]).await.text, "none");
}

#[tokio::test]
async fn transports_are_tried_in_order_and_the_matching_one_answers() {
    let site = by([Transport::Cookie, Transport::Bearer, header()]);
    let mut browser = site.client();
    browser.post("/set/who/browser").await;
    let program = token(&site, "program").await;
    let cookie = browser.cookie_header();
    let bearer = format!("Bearer {program}");
    for (headers, who) in [
        (vec![("cookie", cookie.as_str())], "browser"),
        (vec![("authorization", bearer.as_str())], "program"),
        (vec![("x-session-id", program.as_str())], "program"),
        (vec![("cookie", "sid=nonsense"), ("authorization", &bearer)], "program"),
        (vec![("authorization", &bearer), ("cookie", &cookie)], "browser"),
        (vec![("authorization", "Bearer nonsense"), ("x-session-id", &program)], "program"),
    ] {
        let answer = send(&site, "GET", "/get/who", &headers).await;
        assert_eq!(answer.text, who, "{headers:?}");
        assert_eq!(vary(&answer), ["cookie", "authorization", "x-session-id"]);
    }
    // A new token is sent on the transport of the old one.
    let login = send(&site, "POST", "/login/ada", &[("x-session-id", &program)]).await;
    assert!(login.set_cookies().is_empty() && login.headers.contains_key("x-session-id"));
    let login = send(&site, "POST", "/login/ada", &[("cookie", &cookie)]).await;
    assert!(login.set_cookies().len() == 1 && !login.headers.contains_key("x-session-id"));
}

#[tokio::test]
async fn two_tokens_on_one_transport_are_ignored() {
    let site = by([Transport::Bearer]);
    let one = format!("Bearer {}", send(&site, "POST", "/new-token", &[]).await.text);
    let two = format!("Bearer {}", send(&site, "POST", "/new-token", &[]).await.text);
    let new = send(&site, "POST", "/is-new", &[("authorization", &one), ("authorization", &two)]).await;
    assert_eq!(new.text, "true");
    let twice = send(&site, "POST", "/is-new", &[("authorization", &one), ("authorization", &one)]).await;
    assert_eq!(twice.text, "false");
}

#[tokio::test]
async fn p3_no_transport_adopts_an_id() {
    let forged = "A".repeat(64);
    let find = |headers: &http::HeaderMap| headers.get("x-device")?.to_str().ok().map(str::to_owned);
    let site = by([Transport::Bearer, header(), Transport::function(find)]);
    let issued = token(&site, "ada").await;
    let ended = token(&site, "bob").await;
    send(&site, "POST", "/logout", &[("x-session-id", &ended)]).await;
    // For the grace a slow request makes no new session in place of one that has ended, on any way.
    let bearer = format!("Bearer {ended}");
    for header in [("authorization", bearer.as_str()), ("x-session-id", &ended), ("x-device", &ended)] {
        let answer = send(&site, "POST", "/new-token", &[header]).await;
        assert_eq!((answer.status.as_u16(), answer.headers.contains_key("x-session-id")), (409, false), "{header:?}");
    }
    assert_eq!(send(&site, "POST", &format!("/given/{ended}"), &[]).await.status, 409);
    site.clock.advance(6 * crate::support::SECOND);
    let mut cut = issued.clone();
    cut.pop();
    for wrong in [forged.as_str(), &ended, &cut, "", "0"] {
        let bearer = format!("Bearer {wrong}");
        for header in [("authorization", bearer.as_str()), ("x-session-id", wrong), ("x-device", wrong)] {
            let got = send(&site, "POST", "/token", &[header]).await;
            assert_eq!(got.text, "none", "{header:?}");
            let made = send(&site, "POST", "/new-token", &[header]).await.text;
            assert!(made.len() == 64 && made != wrong, "{header:?}: {made}");
        }
        let made = send(&site, "POST", &format!("/given/{}", if wrong.is_empty() { "-" } else { wrong }), &[]).await;
        assert!(made.text.len() == 64 && made.text != wrong, "{wrong}: {}", made.text);
    }
}

#[tokio::test]
async fn the_application_can_select_the_session_itself() {
    let site = by([]);
    let new = send(&site, "POST", "/given/-", &[]).await;
    assert!(new.set_cookies().is_empty() && !new.headers.contains_key("vary"));
    assert_eq!(new.headers["cache-control"], "no-store");
    assert_eq!(send(&site, "POST", &format!("/given/{}", new.text), &[]).await.text, "2 requests");
    let late = send(&site, "POST", &format!("/given-late/{}", new.text), &[]).await;
    assert_eq!(late.text, "call set_token before anything is read from the session");
    // Also where cookies are the rule: then none is sent.
    let site = with_routes(Site::new(BackendKind::Memory));
    let new = send(&site, "POST", "/given/-", &[]).await;
    assert!(new.set_cookies().is_empty());
    assert_eq!(send(&site, "POST", &format!("/given/{}", new.text), &[("cookie", "sid=x")]).await.text, "2 requests");
}

fn parse(pairs: &[(&str, &str)]) -> Result<Options, String> {
    let secret = [("session.secret", SECRET), ("session.type", "memory")];
    let settings = Settings::parse(secret.into_iter().chain(pairs.iter().copied()));
    settings.map(|settings| settings.options).map_err(|bad| bad.to_string())
}

#[test]
fn settings_choose_transports() {
    let transports = |pairs: &[(&str, &str)]| parse(pairs).unwrap().transports;
    assert_eq!(transports(&[]), [Transport::Cookie]);
    assert_eq!(transports(&[("session.use_cookies", "False")]), []);
    assert_eq!(transports(&[("session.use_cookies", "True")]), [Transport::Cookie]);
    let all = transports(&[("session.transports", "cookie, bearer, header X-Session-Id")]);
    assert_eq!(all, [Transport::Cookie, Transport::Bearer, header()]);
    assert_eq!(transports(&[("session.use_cookies", "false"), ("session.transports", "bearer")]), [Transport::Bearer]);
    for (pairs, said) in [
        (vec![("session.transports", "jwt")], "session.transports: expected cookie, bearer or header NAME"),
        (vec![("session.transports", "header Cookie")], "the header cookie has its own transport"),
        (vec![("session.transports", "bearer, bearer")], "duplicate transport Bearer"),
        (vec![("session.use_cookies", "true"), ("session.transports", "bearer")], "it contradicts `transports`"),
        (vec![("session.use_cookies", "maybe")], "session.use_cookies: expected true or false, found `maybe`"),
    ] {
        let error = parse(&pairs).unwrap_err();
        assert!(error.contains(said), "{pairs:?}: {error}");
    }
}

#[test]
fn a_cookie_session_has_no_other_transport() {
    let mut options = crate::support::options(std::sync::Arc::default());
    options.transports = vec![Transport::Bearer];
    let transports =
        "Options::transports: expected `vec![Transport::Cookie]`, since a session in its own cookie travels in cookies";
    let error = SessionLayer::in_cookie(options.clone()).unwrap_err();
    assert_eq!(error.to_string(), transports);
    options.max_record_size = 0;
    let error = SessionLayer::in_cookie(options).unwrap_err();
    assert_eq!(error.to_string(), format!("{transports}\nOptions::max_record_size: expected at least 1024 bytes"));
}

/// As the seed has it: the application finds the id, uses the session, and hands a new id out.
async fn given(session: Session, Path(token): Path<String>) -> Result<String, Error> {
    session.set_token(&token)?;
    let count = session.update("requests", |count: &mut u32| *count += 1).await?;
    session.save().await?;
    if !session.is_new().await? {
        return Ok(format!("{count} requests"));
    }
    Ok(session.token().await?.map(|token| token.as_str().to_owned()).unwrap_or_default())
}

async fn given_late(session: Session, Path(token): Path<String>) -> Result<String, Error> {
    session.is_new().await?;
    Ok(session.set_token(&token).unwrap_err().to_string())
}

/// The token that an application returns; with `save`, also a new session's.
async fn token_of(session: Session) -> Result<String, Error> {
    Ok(session.token().await?.map_or_else(|| "none".into(), |token| token.as_str().to_owned()))
}

async fn new_token(session: Session) -> Result<String, Error> {
    session.save().await?;
    token_of(session).await
}

/// The routes of this file, beside those of all tests.
fn routes() -> Router {
    Router::new()
        .route("/given/{token}", post(given))
        .route("/given-late/{token}", post(given_late))
        .route("/token", post(token_of))
        .route("/new-token", post(new_token))
        .route("/is-new", post(|session: Session| async move { session.is_new().await.map(|new| new.to_string()) }))
}
