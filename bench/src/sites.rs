//! The same routes, bare, with our sessions and with the peer's.

use ampoule::{MemoryBounds, MemoryStore, Options, Secret, SessionLayer, SystemClock};
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;
use std::sync::Arc;
use tower_sessions::cookie::Key;
use tower_sessions::service::SignedCookie;
use tower_sessions::{MemoryStore as PeerStore, SessionManagerLayer};

/// Whose layer is around the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Bare,
    /// A layer that puts an `Arc` into each request, and handlers that take it: what the framework asks of any layer.
    Floor,
    Ours,
    OursInCookie,
    Peer,
}

impl Who {
    pub const ALL: [Who; 5] = [Who::Bare, Who::Floor, Who::Ours, Who::OursInCookie, Who::Peer];

    pub fn site(self) -> Router {
        match self {
            Who::Bare => bare(),
            Who::Floor => floor(),
            Who::Ours => ours(layer()),
            Who::OursInCookie => ours(SessionLayer::in_cookie(options()).expect("good options")),
            Who::Peer => peer(),
        }
    }
}

pub fn layer() -> SessionLayer {
    SessionLayer::new(store(), options()).expect("good options")
}

pub fn peer_layer() -> SessionManagerLayer<PeerStore, SignedCookie> {
    SessionManagerLayer::new(PeerStore::default()).with_name("sid").with_signed(Key::from(&[7; 64]))
}

pub fn store() -> MemoryStore {
    MemoryStore::new(MemoryBounds { entries: 20_000_000, bytes: 16 << 30 }, Arc::new(SystemClock))
}

fn options() -> Options {
    let secret = Secret::new("a secret for benchmarks, of 32 bytes or more").expect("a good secret");
    Options { key: "sid".into(), secret: vec![secret], ..Options::default() }
}

fn floor() -> Router {
    let mut routes = Router::new().route("/untouched", get(|| async { TEXT }));
    for path in ["/five", "/large", "/kilobyte", "/read", "/write", "/new"] {
        routes = routes.route(path, get(|_: Extension<Handle>| async { TEXT }));
    }
    routes.layer(tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().insert(Handle(Arc::new(())));
        request
    }))
}

/// What the floor's layer hands to its handlers.
#[derive(Clone)]
struct Handle(#[allow(dead_code, reason = "it is held, as a session would be")] Arc<()>);

const TEXT: &str = "hello";

fn bare() -> Router {
    let mut routes = Router::new();
    for path in ["/untouched", "/five", "/large", "/kilobyte", "/read", "/write", "/new"] {
        routes = routes.route(path, get(|| async { TEXT }));
    }
    routes
}

fn ours(layer: SessionLayer) -> Router {
    use ampoule::{Error, Session};
    async fn fill(session: Session, size: usize) -> Result<&'static str, Error> {
        for key in ["a", "b", "c", "d"] {
            session.insert(key, &7_u64)?;
        }
        session.insert("text", &"x".repeat(size))?;
        session.save().await?;
        Ok(TEXT)
    }
    async fn read(session: Session) -> Result<&'static str, Error> {
        assert_eq!(session.get::<u64>("c").await?, Some(7));
        Ok(TEXT)
    }
    async fn write(session: Session) -> Result<&'static str, Error> {
        let value = session.get::<u64>("d").await?.unwrap_or(0);
        session.insert("d", &(value + 1))?;
        session.save().await?;
        Ok(TEXT)
    }
    async fn new(session: Session) -> Result<&'static str, Error> {
        session.insert("a", &7_u64)?;
        session.save().await?;
        Ok(TEXT)
    }
    Router::new()
        .route("/untouched", get(|| async { TEXT }))
        .route("/five", get(|session: Session| fill(session, 5)))
        .route("/large", get(|session: Session| fill(session, 2_048)))
        .route("/kilobyte", get(|session: Session| fill(session, 1_000)))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .layer(layer)
}

fn peer() -> Router {
    use tower_sessions::Session;
    async fn fill(session: Session, size: usize) -> &'static str {
        for key in ["a", "b", "c", "d"] {
            session.insert(key, 7_u64).await.expect("it is saved");
        }
        session.insert("text", "x".repeat(size)).await.expect("it is saved");
        TEXT
    }
    async fn read(session: Session) -> &'static str {
        assert_eq!(session.get::<u64>("c").await.expect("it loads"), Some(7));
        TEXT
    }
    async fn write(session: Session) -> &'static str {
        let value = session.get::<u64>("d").await.expect("it loads").unwrap_or(0);
        session.insert("d", value + 1).await.expect("it is saved");
        TEXT
    }
    async fn new(session: Session) -> &'static str {
        session.insert("a", 7_u64).await.expect("it is saved");
        TEXT
    }
    Router::new()
        .route("/untouched", get(|| async { TEXT }))
        .route("/five", get(|session: Session| fill(session, 5)))
        .route("/large", get(|session: Session| fill(session, 2_048)))
        .route("/kilobyte", get(|session: Session| fill(session, 1_000)))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .layer(peer_layer())
}
