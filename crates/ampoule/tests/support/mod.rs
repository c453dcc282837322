//! What the tests over HTTP share: a small site, a client with a cookie jar, and stores that count or fail.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod site;
pub(crate) mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ampoule::{ManualClock, MemoryBounds, MemoryStore, Options, Secret, SessionLayer};
use ampoule_core::Store;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) const SECRET: &str = "a secret for tests, of 40 bytes and some";

/// Where the tests keep their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    File,
    Cookie,
}

/// A site with its sessions, in this process.
pub(crate) struct Site {
    pub(crate) app: Router,
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) spy: Arc<stores::Spy>,
    _dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new(place: Place) -> Site {
        Site::with(place, |_| {})
    }

    pub(crate) fn with(place: Place, change: impl FnOnce(&mut Options)) -> Site {
        let clock = Arc::new(ManualClock::default());
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = match place {
            Place::File => {
                let options = ampoule::FileOptions { clock: clock.clone(), ..Default::default() };
                Arc::new(ampoule::FileStore::open(dir.path().join("sessions"), options).unwrap())
            }
            _ => Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone())),
        };
        let spy = Arc::new(stores::Spy::new(store));
        let mut options = options(clock.clone());
        change(&mut options);
        let layer = match place {
            Place::Cookie => SessionLayer::in_cookie(options).unwrap(),
            _ => SessionLayer::from_arc(spy.clone(), options).unwrap(),
        };
        Site { app: site::routes().layer(layer.clone()), layer, clock, spy, _dir: dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client { app: self.app.clone(), jar: BTreeMap::new(), place: "http://site.test".into() }
    }
}

pub(crate) fn options(clock: Arc<ManualClock>) -> Options {
    Options { key: "sid".into(), secret: vec![Secret::new(SECRET).unwrap()], clock, ..Options::default() }
}

/// A browser, as far as cookies go.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: Router,
    pub(crate) jar: BTreeMap<String, String>,
    place: String,
}

/// What came back.
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

    /// A request with this Cookie header, whatever the jar holds.
    pub(crate) async fn ask(&self, method: &str, path: &str, cookie: impl AsRef<[u8]>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.place));
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

    /// The value under a key, as the site tells it.
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

/// One test for each place where a session can be kept.
#[macro_export]
macro_rules! on_each_place {
    ($($test:ident on $($place:ident)+;)*) => {$(
        mod $test {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                #[allow(non_snake_case)]
                async fn $place() {
                    super::$test($crate::support::Place::$place).await;
                }
            )+
        }
    )*};
}
