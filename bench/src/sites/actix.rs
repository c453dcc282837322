//! The routes on actix-web: without sessions, with actix-session and a map in memory, and with its encrypted cookies.

use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;

use actix_session::config::CookieContentSecurity;
use actix_session::storage::{CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, time::Duration};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderValue};
use actix_web::test::{self, TestRequest};
use actix_web::web::{Bytes, ServiceConfig, get};

use super::{FILL_ROUTES, TEXT};

/// A service whose type is too long to name.
pub struct App(Box<dyn Fn(actix_http::Request) -> ResponseFuture>);

type ResponseFuture = Pin<Box<dyn Future<Output = ServiceResponse<actix_web::body::BoxBody>>>>;

impl App {
    fn new<S, B>(service: S) -> App
    where
        S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
        B: MessageBody + 'static,
    {
        let service = Rc::new(service);
        App(Box::new(move |request| {
            let response = service.call(request);
            Box::pin(async move { response.await.expect("a response").map_into_boxed_body() })
        }))
    }

    pub async fn fill(&self, path: &str) -> http::HeaderMap {
        let response = (self.0)(TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        super::copy_headers(response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    pub async fn send(&self, path: &str, cookie: &Bytes) {
        let mut request = TestRequest::get().uri(path);
        if !cookie.is_empty() {
            let cookie = HeaderValue::from_maybe_shared(cookie.clone()).expect("a good value");
            request = request.insert_header((COOKIE, cookie));
        }
        let response = (self.0)(request.to_request()).await;
        assert_eq!(response.status().as_u16(), 200);
    }
}

pub async fn bare() -> App {
    let routes = |config: &mut ServiceConfig| {
        for path in ["/untouched", "/read", "/write", "/new"].into_iter().chain(FILL_ROUTES.map(|(path, _)| path)) {
            config.route(path, get().to(async || TEXT));
        }
    };
    App::new(test::init_service(actix_web::App::new().configure(routes)).await)
}

pub async fn site() -> App {
    let sessions = SessionMiddleware::builder(Memory::default(), Key::from(&[7; 64]))
        .cookie_name("sid".to_owned())
        .cookie_content_security(CookieContentSecurity::Signed)
        .build();
    App::new(test::init_service(actix_web::App::new().wrap(sessions).configure(routes)).await)
}

pub async fn in_cookie() -> App {
    let sessions = SessionMiddleware::builder(CookieSessionStore::default(), Key::from(&[7; 64]))
        .cookie_name("sid".to_owned())
        .cookie_content_security(CookieContentSecurity::Private)
        .build();
    App::new(test::init_service(actix_web::App::new().wrap(sessions).configure(routes)).await)
}

fn routes(config: &mut ServiceConfig) {
    config.route("/untouched", get().to(async || TEXT)).route("/read", get().to(read));
    config.route("/write", get().to(write)).route("/new", get().to(new));
    for (path, size) in FILL_ROUTES {
        config.route(path, get().to(move |session: Session| fill(session, size)));
    }
}

async fn fill(session: Session, size: usize) -> &'static str {
    for key in ["a", "b", "c", "d"] {
        session.insert(key, 7_u64).expect("it is kept");
    }
    session.insert("text", "x".repeat(size)).expect("it is kept");
    TEXT
}

async fn read(session: Session) -> &'static str {
    assert_eq!(session.get::<u64>("c").expect("it is a number"), Some(7));
    TEXT
}

async fn write(session: Session) -> &'static str {
    let value = session.get::<u64>("d").expect("it is a number").unwrap_or(0);
    session.insert("d", value + 1).expect("it is kept");
    TEXT
}

async fn new(session: Session) -> &'static str {
    session.insert("a", 7_u64).expect("it is kept");
    TEXT
}

/// A minimal memory store, since actix-session has none.
#[derive(Default)]
struct Memory(Mutex<HashMap<String, HashMap<String, String>>>);

impl Memory {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<String, String>>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl SessionStore for Memory {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        Ok(self.map().get(key.as_ref()).cloned())
    }

    async fn save(&self, state: HashMap<String, String>, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        self.map().insert(key.clone(), state);
        Ok(key.try_into().expect("it is short"))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.map().insert(key.as_ref().to_owned(), state);
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.map().remove(key.as_ref());
        Ok(())
    }
}
