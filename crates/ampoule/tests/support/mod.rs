//! Support for tests over HTTP: a small site, a client with a cookie jar, and stores that count or fail.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod browser;
pub(crate) mod caches;
pub(crate) mod nodes;
pub(crate) mod site;
pub(crate) mod stores;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule::store::StoreOptions;
use ampoule::{Clock, CookieOptions, HostPrefix, ManualClock, Options, Secret, SessionLayer};
use ampoule_test_servers::{Kind, shared};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) const SECRET: &str = "GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE";

/// The backends of the tests: each store, and the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
    Memory,
    File,
    Cookie,
    /// Records sealed with a key of their own, in memory.
    Sealed,
    Sqlite,
    Postgres,
    MySql,
    Redis,
    RedisSentinel,
    RedisCluster,
    Memcached,
}

impl BackendKind {
    /// Whether the backend can be tested. If its server is not installed, this prints a line.
    pub(crate) fn is_available(self) -> bool {
        self.server().is_none_or(|kind| shared(kind).is_some())
    }

    /// Whether the store removes expired sessions itself, not its server.
    pub(crate) fn sweeps(self) -> bool {
        !matches!(
            self,
            BackendKind::Redis | BackendKind::RedisSentinel | BackendKind::RedisCluster | BackendKind::Memcached
        )
    }

    fn server(self) -> Option<Kind> {
        match self {
            BackendKind::Memory
            | BackendKind::File
            | BackendKind::Cookie
            | BackendKind::Sealed
            | BackendKind::Sqlite => None,
            BackendKind::Postgres => Some(Kind::Postgres),
            BackendKind::MySql => Some(Kind::MariaDb),
            BackendKind::Redis => Some(Kind::Redis),
            BackendKind::RedisSentinel => Some(Kind::RedisSentinel),
            BackendKind::RedisCluster => Some(Kind::RedisCluster),
            BackendKind::Memcached => Some(Kind::Memcached),
        }
    }

    /// The URL of the store; files are in this folder.
    pub(crate) fn url(self, folder: &Path) -> String {
        match self {
            BackendKind::Memory | BackendKind::Sealed | BackendKind::Cookie => "memory:".to_owned(),
            BackendKind::File => format!("file:{}", folder.join("sessions").display()),
            BackendKind::Sqlite => format!("sqlite:{}", folder.join("sessions.db").display()),
            backend => {
                let server = backend.server().and_then(shared).expect("the test checks is_available first");
                server.url().to_owned()
            }
        }
    }
}

/// Options for a store that shares its server, but no data, with those of other tests.
pub(crate) fn store_options(clock: Arc<dyn Clock>) -> StoreOptions {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    StoreOptions { table: name.clone(), prefix: format!("{name}:"), clock: Some(clock), ..StoreOptions::default() }
}

/// A site with its sessions, in this process.
pub(crate) struct Site {
    pub(crate) app: Router,
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) spy: Arc<stores::SpyStore>,
    backend: BackendKind,
    _dir: Arc<tempfile::TempDir>,
}

impl Site {
    pub(crate) fn new(backend: BackendKind) -> Site {
        Site::with(backend, |_| {})
    }

    pub(crate) fn with(backend: BackendKind, change: impl FnOnce(&mut Options)) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let url = backend.url(dir.path());
        Site::build(backend, &url, dir, |_| {}, change)
    }

    /// A site on the test's own server, with short limits.
    pub(crate) fn at(url: &str, store: impl FnOnce(&mut StoreOptions), change: impl FnOnce(&mut Options)) -> Site {
        Site::build(BackendKind::Memory, url, tempfile::tempdir().unwrap(), store, change)
    }

    fn build(
        backend: BackendKind,
        url: &str,
        dir: tempfile::TempDir,
        change_store: impl FnOnce(&mut StoreOptions),
        change: impl FnOnce(&mut Options),
    ) -> Site {
        let clock = Arc::new(ManualClock::default());
        let mut store = store_options(clock.clone());
        change_store(&mut store);
        let store = ampoule::store::open(url, &store).unwrap();
        let spy = Arc::new(stores::SpyStore::new(store));
        Site::over(backend, spy, clock, Arc::new(dir), change)
    }

    /// Another layer on the same store, as another process or another part of a site has it.
    pub(crate) fn beside(&self, change: impl FnOnce(&mut Options)) -> Site {
        Site::over(self.backend, self.spy.clone(), self.clock.clone(), self._dir.clone(), change)
    }

    fn over(
        backend: BackendKind,
        spy: Arc<stores::SpyStore>,
        clock: Arc<ManualClock>,
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut Options),
    ) -> Site {
        let mut options = options(clock.clone());
        if backend == BackendKind::Sealed {
            options.encryption_keys = vec![Secret::new("ANUiVxQnaEz6x9-5YJj2fwT7dTKUWXAsbWjhLBNIyt4").unwrap()];
        }
        change(&mut options);
        let layer = match backend {
            BackendKind::Cookie => SessionLayer::in_cookie(options).unwrap(),
            _ => SessionLayer::new(spy.clone(), options).unwrap(),
        };
        Site { app: site::routes().layer(layer.clone()), layer, clock, spy, backend, _dir: dir }
    }

    /// A client without cookies.
    pub(crate) fn client(&self) -> Client {
        Client { app: self.app.clone(), jar: BTreeMap::new(), base_url: "http://site.test".into() }
    }
}

pub(crate) fn options(clock: Arc<ManualClock>) -> Options {
    let cookie = CookieOptions { name: "sid".into(), host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    let secrets = vec![Secret::new(SECRET).unwrap()];
    // Tests call the sweep themselves.
    Options { secrets, cookie, clock, sweep_interval: None, ..Options::default() }
}

/// A client with a cookie jar.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: Router,
    pub(crate) jar: BTreeMap<String, String>,
    base_url: String,
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn set_cookies(&self) -> Vec<String> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }
}

impl Client {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send("POST", path).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str) -> Answer {
        let answer = self.ask(method, path, &self.cookie_header()).await;
        self.keep(&answer);
        answer
    }

    pub(crate) fn cookie_header(&self) -> String {
        self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Sends a request with this Cookie header instead of the cookies of the jar.
    pub(crate) async fn ask(&self, method: &str, path: &str, cookie: impl AsRef<[u8]>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        if !cookie.as_ref().is_empty() {
            request = request.header("cookie", cookie.as_ref());
        }
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        answer(response).await
    }

    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in answer.set_cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((&cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The value of a key, as the site returns it.
    pub(crate) async fn value(&mut self, key: &str) -> String {
        self.get(&format!("/get/{key}")).await.text
    }
}

pub(crate) async fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Defines a test for each of the named backends.
#[macro_export]
macro_rules! on_backends {
    ($($test:ident on $($backend:ident)+;)*) => {$(
        mod $test {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                #[allow(non_snake_case)]
                async fn $backend() {
                    if !$crate::support::BackendKind::$backend.is_available() {
                        return;
                    }
                    super::$test($crate::support::BackendKind::$backend).await;
                }
            )+
        }
    )*};
}

/// One test for each store.
#[macro_export]
macro_rules! on_each_store {
    ($($test:ident;)*) => { $crate::on_backends! {$(
        $test on Memory File Sealed Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    )*} };
}

/// One test for each place where a session can be kept: every store, and the cookie.
#[macro_export]
macro_rules! on_each_place {
    ($($test:ident;)*) => { $crate::on_backends! {$(
        $test on Memory File Sealed Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached Cookie;
    )*} };
}
