//! The same routes without sessions, with Ampoule's, and with the peers'.

#[cfg(feature = "peers")]
mod actix;
#[cfg(feature = "peers")]
mod axum_session;
pub mod ours;
mod plain;
pub mod tower_sessions;

use axum::Router;
use axum::body::{Body, Bytes};
use http::header::{COOKIE, HeaderValue};
use http::{Request, Response, Uri};
use tower::{Service, ServiceExt};

/// What is measured: the same routes inside different layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Without a layer.
    Bare,
    /// A layer that puts an `Arc` into each request, and handlers that extract it: what the framework needs for any
    /// layer that passes a value to handlers.
    MinimalLayer,
    Ours,
    OursInCookie,
    TowerSessions,
    #[cfg(feature = "peers")]
    TowerInCookie,
    #[cfg(feature = "peers")]
    AxumSession,
    /// Routes of actix-web without a layer, to which actix-session is compared.
    #[cfg(feature = "peers")]
    BareActix,
    #[cfg(feature = "peers")]
    Actix,
    #[cfg(feature = "peers")]
    ActixInCookie,
}

impl Subject {
    pub const ALL: &[Subject] = &[
        Subject::Bare,
        Subject::MinimalLayer,
        Subject::Ours,
        Subject::OursInCookie,
        Subject::TowerSessions,
        #[cfg(feature = "peers")]
        Subject::TowerInCookie,
        #[cfg(feature = "peers")]
        Subject::AxumSession,
        #[cfg(feature = "peers")]
        Subject::BareActix,
        #[cfg(feature = "peers")]
        Subject::Actix,
        #[cfg(feature = "peers")]
        Subject::ActixInCookie,
    ];

    /// The peers with sessions in memory.
    pub const PEERS: &[Subject] = &[
        Subject::TowerSessions,
        #[cfg(feature = "peers")]
        Subject::AxumSession,
        #[cfg(feature = "peers")]
        Subject::Actix,
    ];

    /// The peers with sessions in encrypted cookies.
    pub const PEERS_IN_COOKIE: &[Subject] = &[
        #[cfg(feature = "peers")]
        Subject::TowerInCookie,
        #[cfg(feature = "peers")]
        Subject::ActixInCookie,
    ];

    /// Returns the subject whose `Debug` output is this name.
    pub fn named(name: &str) -> Option<Subject> {
        Subject::ALL.iter().copied().find(|subject| format!("{subject:?}") == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Subject::Bare => "bare axum",
            Subject::MinimalLayer => "a minimal layer",
            Subject::Ours | Subject::OursInCookie => "Ampoule",
            Subject::TowerSessions => "tower-sessions 0.15",
            #[cfg(feature = "peers")]
            Subject::TowerInCookie => "tower-sessions-cookie-store 0.5",
            #[cfg(feature = "peers")]
            Subject::AxumSession => "axum_session 0.22",
            #[cfg(feature = "peers")]
            Subject::BareActix => "bare actix-web",
            #[cfg(feature = "peers")]
            Subject::Actix | Subject::ActixInCookie => "actix-session 0.11",
        }
    }

    /// Returns the routes without a layer that this subject is compared with.
    pub fn bare(self) -> Subject {
        match self {
            #[cfg(feature = "peers")]
            Subject::BareActix | Subject::Actix | Subject::ActixInCookie => Subject::BareActix,
            _ => Subject::Bare,
        }
    }

    /// Whether the subject has no sessions.
    pub fn is_plain(self) -> bool {
        matches!(self, Subject::Bare | Subject::MinimalLayer) || self == self.bare()
    }

    pub async fn site(self) -> Site {
        match self {
            Subject::Bare => Site::axum(plain::bare()),
            Subject::MinimalLayer => Site::axum(plain::minimal_layer()),
            Subject::Ours => Site::axum(ours::site(ours::layer())),
            Subject::OursInCookie => Site::axum(ours::site(ours::in_cookie())),
            Subject::TowerSessions => Site::axum(tower_sessions::site()),
            #[cfg(feature = "peers")]
            Subject::TowerInCookie => Site::axum(tower_sessions::in_cookie()),
            #[cfg(feature = "peers")]
            Subject::AxumSession => Site::axum(axum_session::site().await),
            #[cfg(feature = "peers")]
            Subject::BareActix => Site::Actix(actix::bare().await),
            #[cfg(feature = "peers")]
            Subject::Actix => Site::Actix(actix::site().await),
            #[cfg(feature = "peers")]
            Subject::ActixInCookie => Site::Actix(actix::in_cookie().await),
        }
    }
}

/// The response of every route.
const TEXT: &str = "hello";

/// Routes that fill a session with four small numbers and a text, and the size of the text in bytes.
const FILL_ROUTES: [(&str, usize); 4] = [("/five", 5), ("/hundred", 40), ("/kilobyte", 1_000), ("/large", 3_500)];

/// The routes as a service.
pub enum Site {
    Axum(Router),
    #[cfg(feature = "peers")]
    Actix(actix::App),
}

impl Site {
    /// Applies the layers of the routes once, not for each request, as `axum::serve` does.
    pub fn axum(routes: Router) -> Site {
        Site::Axum(routes.with_state(()))
    }

    /// Sends a request and returns the cookies of the response.
    pub async fn fill(&mut self, path: &str) -> String {
        let headers = match self {
            Site::Axum(router) => {
                let response = send(router, &shared(path), &Bytes::new()).await;
                assert_eq!(response.status(), 200, "{path}");
                response.headers().clone()
            }
            #[cfg(feature = "peers")]
            Site::Actix(app) => app.fill(path).await,
        };
        let pair = |value: &http::HeaderValue| {
            let text = value.to_str().expect("it is ASCII");
            text.split(';').next().expect("a pair").to_owned()
        };
        headers.get_all("set-cookie").iter().map(pair).collect::<Vec<_>>().join("; ")
    }

    pub async fn send(&mut self, path: &Bytes, cookie: &Bytes) {
        match self {
            Site::Axum(router) => assert_eq!(send(router, path, cookie).await.status(), 200),
            #[cfg(feature = "peers")]
            Site::Actix(app) => app.send(str::from_utf8(path).expect("it is ASCII"), cookie).await,
        }
    }
}

/// Returns a path or a header's value as a server has it: a shared slice of the bytes that were read, not a copy.
pub fn shared(text: &str) -> Bytes {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    // Only the first clone makes the bytes shared.
    drop(bytes.clone());
    bytes
}

async fn send(router: &mut Router, path: &Bytes, cookie: &Bytes) -> Response<Body> {
    let mut request = Request::get(Uri::from_maybe_shared(path.clone()).expect("a good path"));
    if !cookie.is_empty() {
        request = request.header(COOKIE, HeaderValue::from_maybe_shared(cookie.clone()).expect("a good value"));
    }
    let request = request.body(Body::empty()).expect("a good request");
    let Ok(router) = <Router as ServiceExt<Request<Body>>>::ready(router).await;
    let Ok(response) = router.call(request).await;
    response
}

/// Copies the headers of a response into the types of `http`.
#[cfg(feature = "peers")]
fn copy_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> http::HeaderMap {
    let parse = |(name, value): (&str, &[u8])| {
        let name: http::HeaderName = name.parse().expect("it came from a response");
        (name, http::HeaderValue::from_bytes(value).expect("it came from a response"))
    };
    let mut copy = http::HeaderMap::new();
    for (name, value) in headers.map(parse) {
        copy.append(name, value);
    }
    copy
}
