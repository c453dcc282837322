//! Handles of one request's session: tasks that share one, hooks that use one, saves that fail and are repeated.

use std::ops::Deref;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, Site};
use ampoule::{
    Error, ErrorKind, Event, EventHook, MemoryStore, Options, Secret, Session, SessionData, SessionLayer, Typed,
};
use http::{HeaderMap, StatusCode};

/// A request in progress.
struct Request(SessionLayer, Session);

impl Deref for Request {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.1
    }
}

impl Request {
    fn new(layer: &SessionLayer, cookies: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", cookies.parse().unwrap());
        Request(layer.clone(), layer.begin(&headers))
    }

    /// The cookies that the response sets.
    async fn end(&self) -> Vec<String> {
        let mut headers = HeaderMap::new();
        self.0.finish(&self.1, StatusCode::OK, &mut headers).await.unwrap();
        headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// The session's cookie that the response sets, as the client sends it.
    async fn cookie(&self) -> String {
        let set = self.end().await;
        let cookie = set.last().and_then(|cookie| cookie.split(';').next());
        cookie.unwrap_or_default().to_owned()
    }
}

async fn put(layer: &SessionLayer, cookies: &str, value: &str) -> String {
    let request = Request::new(layer, cookies);
    request.insert("value", value).unwrap();
    request.save().await.unwrap();
    request.cookie().await
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// Fails after a time limit instead of hanging.
fn within(seconds: u64, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let worker = std::thread::spawn(move || {
        work();
        drop(done);
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(seconds)), Err(mpsc::RecvTimeoutError::Disconnected), "it hangs");
    worker.join().unwrap();
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// A layer on memory alone, which answers at once.
fn layer(on_event: Option<EventHook>) -> SessionLayer {
    let secrets = vec![Secret::new(crate::support::SECRET).unwrap()];
    SessionLayer::new(MemoryStore::default(), Options { secrets, on_event, ..Options::default() }).unwrap()
}

#[test]
fn a_hook_can_use_the_session_of_its_event() {
    within(20, || {
        let shared: Arc<Mutex<Option<Session>>> = Arc::default();
        let heard = Arc::clone(&shared);
        let layer_with_hook = layer(Some(EventHook::new(move |_: &Event<'_>| {
            let session = heard.lock().unwrap().take().unwrap();
            session.set_cookie_path("/").unwrap();
            session.regenerate_id();
        })));
        runtime(1).block_on(async {
            // Of a store that has lost it.
            let cookie = put(&layer(None), "", "tea").await;
            let request = Request::new(&layer_with_hook, &cookie);
            *shared.lock().unwrap() = Some(request.1.clone());
            assert_eq!(request.get::<String>("value").await.unwrap(), None);
        });
        assert!(shared.lock().unwrap().is_none(), "the hook was called");
    });
}

/// The handler answers while a task that it spawned still reads.
#[test]
fn a_response_and_a_task_that_reads_do_not_wait_for_each_other() {
    within(60, || {
        let layer = layer(None);
        let runtime = runtime(2);
        let cookie = runtime.block_on(put(&layer, "", "tea"));
        for _ in 0..3_000 {
            let request = Request::new(&layer, &cookie);
            request.insert("value", "more tea").unwrap();
            let session = request.1.clone();
            let reads = runtime.spawn(async move { session.get::<String>("value").await.unwrap() });
            runtime.block_on(request.end());
            assert_eq!(runtime.block_on(reads).unwrap().as_deref(), Some("more tea"));
        }
    });
}

#[tokio::test]
async fn a_repeated_rotation_after_a_failure_gives_a_valid_token() {
    let site = Site::new(BackendKind::Memory);
    let cookie = put(&site.layer, "", "tea").await;
    let request = Request::new(&site.layer, &cookie);
    request.regenerate_id();
    request.get::<String>("value").await.unwrap();
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(kind(request.save().await), Some(ErrorKind::Unavailable));
    site.spy.set_behaviour(StoreBehaviour::Works);
    request.save().await.unwrap();
    let new = request.cookie().await;
    assert_ne!(new, cookie);
    assert_eq!(Request::new(&site.layer, &new).get::<String>("value").await.unwrap().as_deref(), Some("tea"));
}

#[tokio::test]
async fn a_take_keeps_a_pending_rotation() {
    let site = Site::new(BackendKind::Memory);
    let cookie = put(&site.layer, "", "tea").await;
    let request = Request::new(&site.layer, &cookie);
    request.regenerate_id();
    assert_eq!(request.take::<String>("value").await.unwrap().as_deref(), Some("tea"));
    request.save().await.unwrap();
    let new = request.cookie().await;
    assert!(!new.is_empty() && new != cookie);
}

/// A sibling domain plants a session in its own cookie, and pieces of a cookie that never existed.
#[tokio::test]
async fn p9_the_cookies_that_are_expired_are_bounded() {
    let site = Site::with(BackendKind::Cookie, |options| {
        options.cookie.secure = true;
        options.cookie.max_pieces = 9;
    });
    let (planted, own) = (put(&site.layer, "", "coffee").await, put(&site.layer, "", "tea").await);
    let pieces: String = (1..10).map(|piece| format!("; sid.{piece}=x")).collect();
    let mut headers = HeaderMap::new();
    headers.insert("host", "a.b.c.site.test".parse().unwrap());
    headers.insert("cookie", format!("{planted}; {own}{pieces}").parse().unwrap());
    let request = Request(site.layer.clone(), site.layer.begin(&headers));
    assert_eq!(request.get::<String>("value").await.unwrap(), None, "neither counts");
    let set = request.end().await;
    assert!((9..=48).contains(&set.len()), "{} headers", set.len());
}

/// A browser without partitions takes the removal of one form for that of the other, and keeps the last cookie.
#[tokio::test]
async fn the_sessions_own_cookie_comes_last() {
    for (domain, partitioned) in [(None, false), (None, true), (Some(".Site.TEST"), false)] {
        let site = Site::with(BackendKind::Memory, |options| {
            options.cookie.secure = true;
            options.cookie.partitioned = partitioned;
            options.cookie.domain = domain.map(str::to_owned);
            options.cookie.former_scopes =
                vec![ampoule::CookieScope { domain: Some("SITE.test".to_owned()), path: "/".to_owned() }];
        });
        let (dead, live) = (put(&site.layer, "", "coffee").await, put(&site.layer, "", "tea").await);
        Request::new(&site.layer, &dead).delete().await.unwrap();
        let request = Request::new(&site.layer, &format!("{dead}; {live}"));
        assert_eq!(request.get::<String>("value").await.unwrap().as_deref(), Some("tea"));
        let set = request.end().await;
        let (last, expired) = set.split_last().unwrap();
        assert!(last.starts_with(&format!("{live};")), "{set:?}");
        assert!(!expired.is_empty() && expired.iter().all(|cookie| cookie.contains("Max-Age=0")), "{set:?}");
        if domain.is_some() {
            assert!(last.contains("; Domain=site.test"), "{set:?}");
            let own =
                |cookie: &&String| cookie.contains("; Path=/; Domain=site.test") && !cookie.contains("Partitioned");
            assert_eq!(expired.iter().find(own), None, "the scope of the session's own cookie is not in the way");
        }
    }
}

#[derive(Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
struct Shop {
    visits: u32,
    cart: Vec<String>,
    #[serde(default)]
    theme: Option<String>,
}

impl SessionData for Shop {
    const KEY: &'static str = "shop";
}

#[tokio::test]
async fn a_typed_session_loses_no_concurrent_change() {
    let site = Site::new(BackendKind::Memory);
    let first = Request::new(&site.layer, "");
    let mut shop: Typed<Shop> = Typed::of(&first).await.unwrap();
    assert_eq!(*shop, Shop::default());
    assert!(first.is_empty().await.unwrap(), "a default is not stored");
    shop.update(|shop| shop.visits += 1).await.unwrap();
    shop.save().await.unwrap();
    let cookie = first.cookie().await;
    let mut many = Vec::new();
    for number in 0..8 {
        let request = Request::new(&site.layer, &cookie);
        let mut shop: Typed<Shop> = Typed::of(&request).await.unwrap();
        shop.update(move |shop| {
            shop.visits += 1;
            shop.cart.push(number.to_string());
        })
        .await
        .unwrap();
        assert_eq!((shop.visits, shop.cart.len()), (2, 1), "what this request sees");
        many.push((request, shop));
    }
    let mut theme: Typed<Shop> = Typed::of(&Request::new(&site.layer, &cookie)).await.unwrap();
    theme.update(|shop| shop.theme = Some("dark".into())).await.unwrap();
    theme.save().await.unwrap();
    for (number, (_, shop)) in many.iter_mut().enumerate() {
        shop.save().await.unwrap();
        assert_eq!((shop.visits, shop.cart.len()), (number as u32 + 2, number + 1), "what is stored after the save");
        assert_eq!(shop.theme.as_deref(), Some("dark"));
    }
    let last: Typed<Shop> = Typed::of(&Request::new(&site.layer, &cookie)).await.unwrap();
    assert_eq!((last.visits, last.cart.len()), (9, 8));
    assert!(!format!("{last:?}").contains("dark"));
}

#[tokio::test]
async fn a_typed_session_of_an_earlier_release_is_read_or_an_error_but_never_replaced() {
    use axum::Router;
    use axum::routing::get;
    let mut site = Site::new(BackendKind::Memory);
    let visits = get(|mut shop: Typed<Shop>| async move {
        shop.update(|shop| shop.visits += 1).await?;
        shop.save().await?;
        Ok::<_, Error>(shop.visits.to_string())
    });
    site.app = crate::support::site::routes().route("/visits", visits.clone()).layer(site.layer.clone());
    let mut client = site.client();
    assert_eq!(client.get("/visits").await.text, "1");
    assert_eq!(client.get("/visits").await.text, "2");
    client.post("/set/shop/text").await;
    assert_eq!(client.get("/visits").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(client.value("shop").await, "text", "it stays");
    #[derive(serde::Serialize)]
    struct Earlier {
        visits: u32,
        cart: Vec<String>,
    }
    let request = Request::new(&site.layer, &client.cookie_header());
    request.insert("shop", Earlier { visits: 7, cart: Vec::new() }).unwrap();
    request.save().await.unwrap();
    assert_eq!(client.get("/visits").await.text, "8");
    client.app = Router::new().route("/visits", visits);
    assert!(client.get("/visits").await.text.contains("SessionLayer"));
}
