//! The response cache: what it keeps, for whom, and what it never does.

mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions, ResponseCacheLayer};
use ampoule::{Error, Language, Languages, ManualClock, MemoryBounds, MemoryStore, Session, SessionLayer};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use support::{Answer, SECOND, answer};
use tower::ServiceExt;

/// A site whose pages say how often their handlers were called.
#[derive(Clone)]
struct Site {
    app: Router,
    manager: CacheManager,
    clock: Arc<ManualClock>,
    calls: Arc<AtomicUsize>,
}

/// Answers with what it is told to, and counts.
async fn page(calls: Arc<AtomicUsize>, query: RawQuery, asked: HeaderMap, Path(kind): Path<String>) -> Response {
    let call = calls.fetch_add(1, Ordering::SeqCst);
    let body = format!("{kind} {call} {}", query.0.unwrap_or_default());
    let with = |name: &'static str, value: &'static str| ([(name, value)], body.clone()).into_response();
    match kind.as_str() {
        "cookie" => with("set-cookie", "a=b"),
        "private" => with("cache-control", "private, max-age=60"),
        "no-store" => with("cache-control", "no-store"),
        "minute" => with("cache-control", "max-age=60"),
        "any" => with("vary", "*"),
        "gone" => (StatusCode::GONE, body).into_response(),
        "moved" => (StatusCode::FOUND, body).into_response(),
        "nothing" => StatusCode::NO_CONTENT.into_response(),
        "tagged" => with("etag", "\"mine\""),
        "large" => "x".repeat(2_000_000).into_response(),
        "range" => match asked.get("range") {
            Some(_) => (StatusCode::PARTIAL_CONTENT, "part").into_response(),
            None => body.into_response(),
        },
        "stream" => {
            let parts = ["one ", "two ", "three"].map(|part| Ok::<_, Infallible>(Bytes::from(part)));
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
        "varies" => {
            let encoding = asked.get("accept").and_then(|value| value.to_str().ok()).unwrap_or("none");
            ([("vary", "Accept")], format!("{body} {encoding}")).into_response()
        }
        "fails" if call > 0 => (StatusCode::INTERNAL_SERVER_ERROR, body).into_response(),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            body.into_response()
        }
        "slow-cookie" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            with("set-cookie", "a=b")
        }
        _ => body.into_response(),
    }
}

async fn whose(session: Session) -> Result<String, Error> {
    Ok(session.get::<String>("user").await?.unwrap_or_else(|| "nobody".into()))
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<&'static str, Error> {
    session.login(&user).await?;
    session.insert("user", &user)?;
    session.save().await?;
    Ok("in")
}

async fn visits(session: Session) -> Result<String, Error> {
    let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
    session.save().await?;
    Ok(visits.to_string())
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
        let language = |language: Language| async move { language.tag() };
        let greet = |path: Path<String>| async move { path.0 };
        let cached = Router::new()
            .route("/page/{kind}", get(page.clone()).post(page))
            .route("/whose", get(whose))
            .route("/visits", get(visits))
            .route("/language", get(language))
            .route("/greet/{name}", get(greet))
            .layer(change(ResponseCacheLayer::new(&manager, "pages")))
            .layer(Languages::new(["en", "de"]).unwrap());
        let options = support::options(clock.clone());
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

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_is_made_once_and_says_how_old_it_is() {
    let site = Site::new();
    let first = site.get("/page/plain?a=1").await;
    assert_eq!((first.text.as_str(), header(&first, "cache-status")), ("plain 0 a=1", "ampoule; fwd=miss"));
    site.clock.advance(7 * SECOND);
    let second = site.get("/page/plain?a=1").await;
    assert_eq!((second.text.as_str(), header(&second, "cache-status")), ("plain 0 a=1", "ampoule; hit"));
    assert_eq!((header(&second, "age"), header(&second, "content-type")), ("7", "text/plain; charset=utf-8"));
    assert_eq!(header(&first, "etag"), header(&second, "etag"));
    assert_eq!(site.get("/page/plain?a=2").await.text, "plain 1 a=2");
    let head = site.ask("HEAD", "/page/plain?a=1", &[]).await;
    assert_eq!((head.text.as_str(), header(&head, "content-length")), ("", "11"));
    assert_eq!(site.calls(), 2);
    site.clock.advance(3_600 * SECOND);
    site.get("/page/plain?a=1").await;
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn what_may_be_kept_is_kept_and_nothing_else() {
    let site = Site::new();
    for kind in ["plain", "minute", "gone", "nothing", "tagged", "range"] {
        let (one, other) = (site.get(&format!("/page/{kind}")).await, site.get(&format!("/page/{kind}")).await);
        assert_eq!((one.status, &one.text, site.calls()), (other.status, &other.text, 1), "{kind}");
    }
    for kind in ["cookie", "private", "no-store", "any", "moved", "large", "stream"] {
        let (one, other) = (site.get(&format!("/page/{kind}")).await, site.get(&format!("/page/{kind}")).await);
        assert_eq!(one.status, other.status);
        assert_eq!(site.calls(), 2, "{kind}");
        assert!(!one.text.is_empty() && one.text.len() == other.text.len(), "{kind}");
    }
    assert_eq!(site.get("/page/stream").await.text, "one two three");
    site.calls();
    for _ in 0..2 {
        site.ask("POST", "/page/plain", &[]).await;
        site.ask("GET", "/page/plain", &[("authorization", "Bearer x")]).await;
        site.ask("HEAD", "/page/other", &[]).await;
    }
    assert_eq!(site.calls(), 6);
    assert_eq!(site.ask("GET", "/page/range", &[("range", "bytes=0-1")]).await.status, 200);
    site.clock.advance(60 * SECOND);
    site.get("/page/minute").await;
    assert_eq!(site.calls(), 1, "max-age is heard");
}

#[tokio::test]
async fn a_client_that_has_the_page_is_told_so() {
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
    // On the first request too, whose handler did not see the condition.
    let first = site.ask("GET", "/page/tagged", &[("if-none-match", "\"mine\"")]).await;
    assert_eq!(first.status, 304);
    assert_eq!(site.get("/page/tagged").await.text, "tagged 1 ");
}

#[tokio::test]
async fn vary_is_honoured() {
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
    assert_eq!(header(&head, "cache-status"), "ampoule; hit");

    for _ in 0..3 {
        for (accept, expected) in [("de", "de"), ("en", "en"), ("fr", "en"), ("de-AT", "de")] {
            let answer = site.ask("GET", "/language", &[("accept-language", accept)]).await;
            // With a session around, its language would count first, so the page depends on it and is not kept.
            assert_eq!(answer.text, expected);
            assert_ne!(header(&answer, "cache-status"), "ampoule; hit");
        }
    }
}

#[tokio::test]
async fn a_language_that_is_negotiated_without_a_session_is_part_of_the_page() {
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let app: Router = Router::new()
        .route("/", get(|language: Language| async move { language.tag() }))
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
            hits += usize::from(header(&answer, "cache-status") == "ampoule; hit");
        }
    }
    assert_eq!(hits, 5);
}

#[tokio::test]
async fn keys_are_chosen() {
    let headers = [http::HeaderName::from_static("x-theme")];
    let site = Site::with(CacheOptions::default(), |layer| layer.query(["page"]).headers(headers.clone()));
    for path in ["/page/plain?page=1&utm=a", "/page/plain?utm=b&page=1", "/page/plain?page=1"] {
        assert_eq!(site.get(path).await.text, "plain 0 page=1&utm=a");
    }
    assert_eq!(site.get("/page/plain?page=2").await.text, "plain 1 page=2");
    let dark = site.ask("GET", "/page/plain?page=2", &[("x-theme", "dark")]).await;
    assert_eq!((dark.text.as_str(), header(&dark, "vary")), ("plain 2 page=2", "x-theme"));
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
async fn a_page_that_fails_gives_way_to_an_old_one() {
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
async fn a_crowd_makes_one_page_and_is_not_held_up_where_it_cannot() {
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
async fn nobody_gets_what_is_another_one_s() {
    for per_session in [false, true] {
        let site = Site::with(CacheOptions::default(), |layer| if per_session { layer.per_session() } else { layer });
        let cookies = [site.log_in("ada").await, site.log_in("bob").await, String::new()];
        let mut asking = tokio::task::JoinSet::new();
        for worker in 0..4 {
            let (site, cookies) = (site.clone(), cookies.clone());
            asking.spawn(async move {
                let mut hits = HashMap::<&str, usize>::new();
                for n in 0..12_500 {
                    let who = fastrand(worker, n) % 3;
                    let path = ["/whose", "/greet/all"][n % 2];
                    let answer = site.ask("GET", path, &[("cookie", &cookies[who])]).await;
                    let expected = if n % 2 == 1 { "all" } else { ["ada", "bob", "nobody"][who] };
                    assert_eq!(answer.text, expected);
                    assert!(answer.set_cookies().is_empty());
                    if header(&answer, "cache-status") == "ampoule; hit" {
                        *hits.entry(expected).or_default() += 1;
                    }
                }
                hits
            });
        }
        for hits in asking.join_all().await {
            let of_users = hits.get("ada").copied().unwrap_or_default();
            assert!(hits["all"] > 6_000, "{hits:?}");
            assert_eq!(of_users > 0, per_session, "{hits:?}");
        }
    }
}

/// Some order of users, the same in each run.
fn fastrand(worker: usize, n: usize) -> usize {
    (worker * 7_919 + n * 104_729) % 1_009
}

#[tokio::test]
async fn a_page_of_a_session_is_new_when_the_session_is() {
    let site = Site::with(CacheOptions::default(), ResponseCacheLayer::per_session);
    let cookie = site.log_in("ada").await;
    let ask = async |path: &'static str| site.ask("GET", path, &[("cookie", &cookie)]).await;
    // The first request with the token of a login writes that it came, and so makes the pages new.
    for known in ["ampoule; fwd=miss", "ampoule; fwd=miss", "ampoule; hit"] {
        let page = ask("/whose").await;
        assert_eq!((page.text.as_str(), header(&page, "cache-status")), ("ada", known));
    }
    let hit = ask("/whose").await;
    assert_eq!(header(&hit, "cache-status"), "ampoule; hit");
    assert!(header(&hit, "vary").contains("Cookie"), "{:?}", hit.headers);
    // What changes the session is not kept, and makes the other pages new.
    assert_eq!((ask("/visits").await.text, ask("/visits").await.text), ("1".into(), "2".into()));
    assert_ne!(header(&ask("/whose").await, "cache-status"), "ampoule; hit");
    // Neither is what begins one.
    for _ in 0..2 {
        let new = site.get("/visits").await;
        assert_eq!((new.text.as_str(), new.set_cookies().len()), ("1", 1));
    }
}

/// The wrong way round, the cache sees what the session's layer says: `Vary: Cookie` and `Set-Cookie`.
#[tokio::test]
async fn a_cache_around_the_sessions_gives_nobody_what_is_another_one_s_either() {
    let clock = Arc::new(ManualClock::default());
    let backend = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
    let manager = CacheManager::new(Backend::memory(&backend), CacheOptions::default()).unwrap();
    let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
    let sessions = SessionLayer::new(store, support::options(clock.clone())).unwrap();
    let routes =
        Router::new().route("/whose", get(whose)).route("/visits", get(visits)).route("/login/{user}", post(log_in));
    let app = routes.layer(sessions).layer(ResponseCacheLayer::new(&manager, "pages"));
    let site = Site { app, manager, clock, calls: Arc::default() };
    let cookies = [site.log_in("ada").await, site.log_in("bob").await, String::new()];
    let mut hits = 0;
    for n in 0..3_000 {
        let who = fastrand(1, n) % 3;
        let answer = site.ask("GET", "/whose", &[("cookie", &cookies[who])]).await;
        assert_eq!(answer.text, ["ada", "bob", "nobody"][who]);
        hits += usize::from(header(&answer, "cache-status") == "ampoule; hit");
    }
    assert!(hits > 2_900, "{hits}");
    let (one, other) = (site.get("/visits").await, site.get("/visits").await);
    assert_ne!(one.set_cookies(), other.set_cookies(), "a session of his own for each");
}
