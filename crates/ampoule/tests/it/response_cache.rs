//! The response cache: what it stores, for which clients, and what it must not store.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Answer, SECOND, answer};
use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions, ResponseCacheLayer};
use ampoule::{
    Error, FailedRequest, Language, Languages, ManualClock, MemoryBounds, MemoryStore, Session, SessionLayer,
    StatusCodeRedirect,
};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::{Layer, ServiceExt};

/// A site whose pages show how often their handlers were called.
#[derive(Clone)]
struct Site {
    app: Router,
    manager: CacheManager,
    clock: Arc<ManualClock>,
    calls: Arc<AtomicUsize>,
}

/// Answers as `kind` selects, and counts calls. Responses may be stored for an hour, except if `kind` forbids it.
async fn page(calls: Arc<AtomicUsize>, query: RawQuery, asked: HeaderMap, Path(kind): Path<String>) -> Response {
    let call = calls.fetch_add(1, Ordering::SeqCst);
    let body = format!("{kind} {call} {}", query.0.unwrap_or_default());
    let said = |said: &'static str| ([("cache-control", said)], body.clone()).into_response();
    let with = |name: &'static str, value: &'static str| ([(name, value)], public(body.clone())).into_response();
    match kind.as_str() {
        "silent" => body.into_response(),
        "cookie" => with("set-cookie", "a=b"),
        "private" => said("private, max-age=60"),
        "max-age" => said("max-age=60"),
        "bare-public" => said("public"),
        "no-store" => said("public, s-maxage=60, no-store"),
        "minute" => said("s-maxage=60"),
        "any" => with("vary", "*"),
        "by-cookie" => with("vary", "Accept, Cookie"),
        "gone" => (StatusCode::GONE, public(body)).into_response(),
        "moved" => (StatusCode::FOUND, body).into_response(),
        "nothing" => (StatusCode::NO_CONTENT, [("cache-control", PUBLIC)]).into_response(),
        "tagged" => with("etag", "\"mine\""),
        "private-tagged" => ([("etag", "\"mine\""), ("set-cookie", "a=b")], body).into_response(),
        "dated" => with("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        "large" => public("x".repeat(2_000_000)),
        "range" => match asked.get("range") {
            Some(_) => (StatusCode::PARTIAL_CONTENT, "part").into_response(),
            None => public(body),
        },
        "stream" => {
            let parts = ["one ", "two ", "three"].map(|part| Ok::<_, Infallible>(Bytes::from(part)));
            public(Body::from_stream(futures_util::stream::iter(parts)))
        }
        "varies" => {
            let encoding = asked.get("accept").and_then(|value| value.to_str().ok()).unwrap_or("none");
            ([("vary", "Accept")], public(format!("{body} {encoding}"))).into_response()
        }
        "fails" if call > 0 => (StatusCode::INTERNAL_SERVER_ERROR, body).into_response(),
        "fails" => said("public, max-age=3600, stale-if-error=60"),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            public(body)
        }
        "slow-cookie" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            with("set-cookie", "a=b")
        }
        _ => public(body),
    }
}

const PUBLIC: &str = "public, max-age=3600";

fn public(body: impl IntoResponse) -> Response {
    ([("cache-control", PUBLIC)], body).into_response()
}

/// Marks a response of one user as public.
async fn whose(session: Session) -> Result<Response, Error> {
    Ok(public(session.get::<String>("user").await?.unwrap_or_else(|| "none".into())))
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<&'static str, Error> {
    session.login(&user).await?;
    session.insert("user", &user)?;
    session.save().await?;
    Ok("in")
}

async fn visits(session: Session) -> Result<Response, Error> {
    let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
    session.save().await?;
    Ok(public(visits.to_string()))
}

impl Site {
    fn new() -> Site {
        Site::with(CacheOptions::default(), |layer| layer)
    }

    fn with(options: CacheOptions, change: impl FnOnce(ResponseCacheLayer) -> ResponseCacheLayer) -> Site {
        let (clock, calls) = (Arc::new(ManualClock::default()), Arc::new(AtomicUsize::new(0)));
        let backend = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
        let manager = CacheManager::new(Backend::memory(&backend), options).unwrap();
        let counted = calls.clone();
        let page = move |query: RawQuery, headers: HeaderMap, path: Path<String>| page(counted, query, headers, path);
        let language = |language: Language| async move { public(language.tag()) };
        let greet = |path: Path<String>| async move { public(path.0) };
        let cached = Router::new()
            .route("/page/{kind}", get(page.clone()).post(page))
            .route("/whose", get(whose))
            .route("/visits", get(visits))
            .route("/language", get(language))
            .route("/greet/{name}", get(greet))
            .layer(change(ResponseCacheLayer::new(&manager, "pages")))
            .layer(Languages::new(["en", "de"]).unwrap());
        let options = crate::support::options(clock.clone());
        let sessions = SessionLayer::new(MemoryStore::new(MemoryBounds::default(), clock.clone()), options).unwrap();
        let app = cached.route("/login/{user}", post(log_in)).layer(sessions);
        Site { app, manager, clock, calls }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://site.test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    async fn log_in(&self, user: &str) -> String {
        let answer = self.ask("POST", &format!("/login/{user}"), &[]).await;
        answer.set_cookies()[0].split(';').next().unwrap().to_owned()
    }
}

fn is_hit(answer: &Answer) -> bool {
    header(answer, "cache-status").starts_with("ampoule; hit")
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_is_rendered_once_and_has_an_age() {
    let site = Site::new();
    let first = site.get("/page/plain?a=1").await;
    assert_eq!((first.text.as_str(), header(&first, "cache-status")), ("plain 0 a=1", "ampoule; fwd=miss; stored"));
    site.clock.advance(7 * SECOND);
    let second = site.get("/page/plain?a=1").await;
    assert_eq!((second.text.as_str(), header(&second, "cache-status")), ("plain 0 a=1", "ampoule; hit; ttl=3593"));
    assert_eq!((header(&second, "age"), header(&second, "content-type")), ("7", "text/plain; charset=utf-8"));
    assert_eq!(header(&first, "etag"), header(&second, "etag"));
    assert!(!header(&first, "date").is_empty() && header(&first, "date") == header(&second, "date"));
    assert_eq!(site.get("/page/plain?a=2").await.text, "plain 1 a=2");
    let head = site.ask("HEAD", "/page/plain?a=1", &[]).await;
    assert_eq!((head.text.as_str(), header(&head, "content-length")), ("", "11"));
    assert_eq!(site.calls(), 2);
    site.clock.advance(3_600 * SECOND);
    site.get("/page/plain?a=1").await;
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn only_cacheable_responses_are_stored() {
    let site = Site::new();
    for kind in ["plain", "minute", "gone", "nothing", "tagged", "range"] {
        let (one, other) = (site.get(&format!("/page/{kind}")).await, site.get(&format!("/page/{kind}")).await);
        assert_eq!((one.status, &one.text, site.calls()), (other.status, &other.text, 1), "{kind}");
    }
    for kind in [
        "silent",
        "cookie",
        "private",
        "max-age",
        "bare-public",
        "no-store",
        "any",
        "by-cookie",
        "moved",
        "large",
        "stream",
    ] {
        let (one, other) = (site.get(&format!("/page/{kind}")).await, site.get(&format!("/page/{kind}")).await);
        assert_eq!(one.status, other.status);
        assert_eq!(site.calls(), 2, "{kind}");
        assert!(!one.text.is_empty() && one.text.len() == other.text.len(), "{kind}");
    }
    assert_eq!(site.get("/page/stream").await.text, "one two three");
    site.calls();
    for _ in 0..2 {
        site.ask("GET", "/page/plain", &[("authorization", "Bearer x")]).await;
        site.ask("GET", "/page/plain", &[("upgrade", "websocket")]).await;
        site.ask("GET", "/page/plain", &[("x-http-method-override", "DELETE")]).await;
        site.ask("GET", "/page/plain", &[("if-match", "\"x\"")]).await;
        site.ask("GET", "/page/plain", &[("cache-control", "no-store")]).await;
        site.ask("HEAD", "/page/other", &[]).await;
    }
    assert_eq!(site.calls(), 12);
    assert_eq!(site.ask("GET", "/page/range", &[("range", "bytes=0-1")]).await.status, 206);
    site.calls();
    site.clock.advance(60 * SECOND);
    site.get("/page/minute").await;
    assert_eq!(site.calls(), 1, "s-maxage counts");
}

#[tokio::test]
async fn a_client_with_the_page_gets_a_304() {
    let site = Site::new();
    let page = site.get("/page/plain").await;
    let etag = header(&page, "etag").to_owned();
    for tags in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
        let answer = site.ask("GET", "/page/plain", &[("if-none-match", &tags)]).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{tags}");
        assert_eq!(header(&answer, "etag"), etag);
        assert_eq!(header(&answer, "content-type"), "");
    }
    assert_eq!(site.ask("GET", "/page/plain", &[("if-none-match", "\"x\"")]).await.status, 200);
    // Also on the first request, whose handler did not see the condition.
    let first = site.ask("GET", "/page/tagged", &[("if-none-match", "\"mine\"")]).await;
    assert_eq!(first.status, 304);
    assert_eq!(site.get("/page/tagged").await.text, "tagged 1 ");
    // An uncacheable response is compared with the condition too, and keeps its cookies.
    let private = site.ask("GET", "/page/private-tagged", &[("if-none-match", "\"mine\"")]).await;
    assert_eq!((private.status.as_u16(), private.set_cookies()), (304, vec!["a=b".to_owned()]));
    for _ in 0..2 {
        let since = [("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")];
        assert_eq!(site.ask("GET", "/page/dated", &since).await.status, 304);
    }
}

#[tokio::test]
async fn vary_selects_the_stored_response() {
    let site = Site::new();
    let ask = async |accept: &'static str| site.ask("GET", "/page/varies", &[("accept", accept)]).await.text;
    // The first request finds out that the page varies.
    ask("a").await;
    let (a, b) = (ask("a").await, ask("b").await);
    assert!(a.ends_with(" a") && b.ends_with(" b"));
    assert_eq!((ask("a").await, ask("b").await), (a, b));
    assert_eq!(site.calls(), 3);
    assert!(site.get("/page/varies").await.text.ends_with("none"));
    let head = site.ask("HEAD", "/page/varies", &[("accept", "a")]).await;
    assert_eq!(header(&head, "cache-status"), "ampoule; hit; ttl=3600");

    for _ in 0..3 {
        for (accept, expected) in [("de", "de"), ("en", "en"), ("fr", "en"), ("de-AT", "de")] {
            let answer = site.ask("GET", "/language", &[("accept-language", accept)]).await;
            // With a session around, its language would count first, so the page depends on it and is not kept.
            assert_eq!(answer.text, expected);
            assert!(!is_hit(&answer));
        }
    }
}

#[tokio::test]
async fn a_language_that_is_negotiated_without_a_session_is_part_of_the_page() {
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let app: Router = Router::new()
        .route("/", get(|language: Language| async move { public(language.tag()) }))
        .layer(ResponseCacheLayer::new(&manager, "pages"))
        .layer(Languages::new(["en", "de"]).unwrap());
    let mut hits = 0;
    for _ in 0..3 {
        for (accept, expected) in [("de", "de"), ("en", "en"), ("fr", "en")] {
            let request = Request::get("/").header("accept-language", accept).body(Body::empty()).unwrap();
            let answer = answer(app.clone().oneshot(request).await.unwrap()).await;
            assert_eq!(answer.text, expected);
            let varies: Vec<&str> =
                answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert!(varies.iter().any(|names| names.eq_ignore_ascii_case("accept-language")), "{varies:?}");
            hits += usize::from(is_hit(&answer));
        }
    }
    assert_eq!(hits, 5);
}

#[tokio::test]
async fn the_whole_query_is_part_of_the_key() {
    let site = Site::new();
    let queries =
        ["?page=1&utm=a", "?utm=a&page=1", "?page=1", "?p%61ge=1", "?page=1&", "?", "", "?page=%31", "?PAGE=1"];
    for (call, query) in queries.iter().enumerate() {
        let text = format!("plain {call} {}", query.trim_start_matches('?'));
        assert_eq!(site.get(&format!("/page/plain{query}")).await.text, text);
    }
    assert_eq!(site.get("/page/plain?page=1").await.text, "plain 2 page=1");
}

#[tokio::test]
async fn unsafe_requests_invalidate_stored_responses() {
    let site = Site::new();
    let ask = async |query: &str, accept: &'static str| {
        site.ask("GET", &format!("/page/varies{query}"), &[("accept", accept)]).await.text
    };
    ask("", "a").await;
    let before = (ask("", "a").await, ask("", "b").await, ask("?q", "a").await, ask("?q", "a").await);
    for method in ["OPTIONS", "HEAD"] {
        site.ask(method, "/page/varies", &[]).await;
    }
    assert_eq!((ask("", "a").await, ask("", "b").await), (before.0.clone(), before.1.clone()));
    site.ask("POST", "/page/varies", &[("origin", "http://site.test")]).await;
    assert!(ask("", "a").await != before.0 && ask("", "b").await != before.1);
    assert_eq!(ask("?q", "a").await, before.3, "another target URI");
    site.calls();
    site.get("/page/fails").await;
    assert_eq!(site.ask("POST", "/page/fails", &[]).await.status, 500);
    assert!(is_hit(&site.get("/page/fails").await), "a request that failed changed nothing");
}

#[tokio::test]
async fn a_request_s_cache_control_is_honoured() {
    let site = Site::new();
    let ask = async |said: &'static str| site.ask("GET", "/page/plain", &[("cache-control", said)]).await;
    assert_eq!(ask("only-if-cached").await.status, 504);
    site.get("/page/plain").await;
    site.clock.advance(10 * SECOND);
    for said in ["max-age=10", "min-fresh=3590", "max-stale", "only-if-cached"] {
        assert!(is_hit(&ask(said).await), "{said}");
    }
    for said in ["no-cache", "No-Cache", "max-age=9", "min-fresh=3591", "no-store"] {
        assert_eq!(header(&ask(said).await, "cache-status"), "ampoule; fwd=request", "{said}");
    }
}

#[tokio::test]
async fn pages_are_cleared_by_tag_and_by_namespace() {
    let tags = |request: &http::request::Parts| vec![format!("path:{}", request.uri.path())];
    let site = Site::with(CacheOptions::default(), |layer| layer.tags(tags));
    let both = async || (site.get("/page/a").await.text, site.get("/page/b").await.text);
    assert_eq!(both().await, ("a 0 ".into(), "b 1 ".into()));
    site.manager.invalidate_tag("path:/page/a").await.unwrap();
    assert_eq!(both().await, ("a 2 ".into(), "b 1 ".into()));
    site.manager.clear("pages").await.unwrap();
    assert_eq!(both().await, ("a 3 ".into(), "b 4 ".into()));
}

#[tokio::test]
async fn a_stale_page_is_served_if_rendering_fails() {
    let site = Site::with(CacheOptions { stale: 60 * SECOND, ..CacheOptions::default() }, |layer| layer);
    assert_eq!(site.get("/page/fails").await.text, "fails 0 ");
    site.clock.advance(3_601 * SECOND);
    let old = site.get("/page/fails").await;
    assert_eq!((old.status.as_u16(), old.text.as_str()), (200, "fails 0 "));
    assert_eq!(site.calls(), 2);
    site.clock.advance(60 * SECOND);
    site.calls.store(1, Ordering::SeqCst);
    let failed = site.get("/page/fails").await;
    assert_eq!((failed.status.as_u16(), failed.text.as_str()), (500, "fails 1 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_render_a_page_once_and_uncacheable_ones_do_not_wait() {
    let site = Site::new();
    let crowd = async |path: &'static str| {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let site = site.clone();
            asking.spawn(async move { site.get(path).await.text });
        }
        let started = std::time::Instant::now();
        asking.join_all().await;
        (site.calls(), started.elapsed())
    };
    assert_eq!(crowd("/page/slow").await.0, 1);
    let (calls, took) = crowd("/page/slow-cookie").await;
    assert_eq!(calls, 200);
    assert!(took < Duration::from_secs(5), "one after the other they would take ten: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_gets_a_response_from_another_session() {
    let site = Site::new();
    let cookies = [site.log_in("ada").await, site.log_in("bob").await, String::new()];
    let mut asking = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let (site, cookies) = (site.clone(), cookies.clone());
        asking.spawn(async move {
            let mut hits = HashMap::<&str, usize>::new();
            for n in 0..25_000 {
                let who = fastrand(worker, n) % 3;
                let path = ["/whose", "/greet/all"][n % 2];
                let answer = site.ask("GET", path, &[("cookie", &cookies[who])]).await;
                let expected = if n % 2 == 1 { "all" } else { ["ada", "bob", "none"][who] };
                assert_eq!(answer.text, expected);
                assert!(answer.set_cookies().is_empty());
                if is_hit(&answer) {
                    *hits.entry(expected).or_default() += 1;
                }
            }
            hits
        });
    }
    for hits in asking.join_all().await {
        assert!(hits["all"] > 12_000 && hits.len() == 1, "{hits:?}");
    }
}

/// A shuffled order of users, the same in each run.
fn fastrand(worker: usize, n: usize) -> usize {
    (worker * 7_919 + n * 104_729) % 1_009
}

#[tokio::test]
async fn a_cache_outside_the_session_layer_stores_no_session_responses() {
    let clock = Arc::new(ManualClock::default());
    let backend = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
    let manager = CacheManager::new(Backend::memory(&backend), CacheOptions::default()).unwrap();
    let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
    let sessions = SessionLayer::new(store, crate::support::options(clock.clone())).unwrap();
    let routes = Router::new()
        .route("/whose", get(whose))
        .route("/visits", get(visits))
        .route("/greet/{name}", get(|path: Path<String>| async move { public(path.0) }))
        .route("/login/{user}", post(log_in));
    // A layer between them removes the headers of the session's layer.
    let strip = axum::middleware::from_fn(async |request, next: axum::middleware::Next| {
        let (parts, body) = next.run(request).await.into_parts();
        let mut response = public(body);
        let cookies = parts.headers.get_all("set-cookie").iter();
        response.headers_mut().extend(cookies.map(|cookie| (http::header::SET_COOKIE, cookie.clone())));
        response
    });
    let app = routes.layer(sessions).layer(strip).layer(ResponseCacheLayer::new(&manager, "pages"));
    let site = Site { app, manager, clock, calls: Arc::default() };
    let cookies = [site.log_in("ada").await, site.log_in("bob").await, String::new()];
    let mut hits = 0;
    for n in 0..3_000 {
        let who = fastrand(1, n) % 3;
        let answer = site.ask("GET", "/whose", &[("cookie", &cookies[who])]).await;
        assert_eq!(answer.text, ["ada", "bob", "none"][who]);
        assert!(!is_hit(&answer));
        hits += usize::from(is_hit(&site.get("/greet/all").await));
    }
    assert_eq!(hits, 2_999);
    let (one, other) = (site.get("/visits").await, site.get("/visits").await);
    assert_ne!(one.set_cookies(), other.set_cookies(), "a session for each");
}

#[tokio::test]
async fn an_error_page_is_stored_for_no_other_request() {
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let page = |failed: Option<FailedRequest>| async move {
        public(failed.map_or("none".into(), |failed| failed.uri.to_string()))
    };
    let app: Router = Router::new().route("/error", get(page)).layer(ResponseCacheLayer::new(&manager, "pages"));
    let app = StatusCodeRedirect::new("/error").unwrap().layer(app);
    for path in ["/secret/1", "/error", "/secret/2", "/error", "/secret/1"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let text = answer(app.clone().oneshot(request).await.unwrap()).await.text;
        assert_eq!(text, if path == "/error" { "none" } else { path });
    }
}

/// A session that a handler begins without the layer has no probe, but is detected by `Vary`.
#[tokio::test]
async fn a_session_begun_by_a_handler_is_detected_by_vary() {
    let clock = Arc::new(ManualClock::default());
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
    let sessions = SessionLayer::new(store, crate::support::options(clock)).unwrap();
    let handler = move |asked: HeaderMap| async move {
        let session = sessions.begin(&asked);
        let name = session.get::<String>("name").await.unwrap();
        let mut response = public(format!("{name:?}"));
        sessions.finish(&session, StatusCode::OK, response.headers_mut()).await.unwrap();
        response
    };
    let app = Router::new().route("/", get(handler)).layer(ResponseCacheLayer::new(&manager, "pages"));
    for _ in 0..3 {
        let answer = answer(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()).await;
        assert!(!is_hit(&answer), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn within_another_response_cache_a_response_cache_does_nothing() {
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let layer = ResponseCacheLayer::new(&manager, "pages");
    let app: Router = Router::new().route("/", get(|| async { public("page") })).layer(layer.clone()).layer(layer);
    let ask = async || {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let headers = answer(app.clone().oneshot(request).await.unwrap()).await.headers;
        headers.get_all("cache-status").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ask().await, ["ampoule; fwd=bypass", "ampoule; fwd=miss; stored"]);
    assert_eq!(ask().await[1], "ampoule; hit; ttl=3600");
}
