//! The routes with the sessions of axum_session, in memory, with signed ids.

use axum::Router;
use axum::routing::get;
use axum_session::{Key, SessionConfig, SessionLayer, SessionNullPool, SessionStore};

use super::{FILL_ROUTES, TEXT};

type Session = axum_session::Session<SessionNullPool>;

pub async fn site() -> Router {
    let config = SessionConfig::default().with_session_name("sid").with_key(Key::from(&[7; 64]));
    let store = SessionStore::<SessionNullPool>::new(None, config).await.expect("a store in memory");
    let routes = Router::new()
        .route("/untouched", get(|| async { TEXT }))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new));
    let fill = |size| get(move |session: Session| fill(session, size));
    FILL_ROUTES
        .into_iter()
        .fold(routes, |routes, (path, size)| routes.route(path, fill(size)))
        .layer(SessionLayer::new(store))
}

async fn fill(session: Session, size: usize) -> &'static str {
    for key in ["a", "b", "c", "d"] {
        session.set(key, 7_u64);
    }
    session.set("text", "x".repeat(size));
    TEXT
}

async fn read(session: Session) -> &'static str {
    assert_eq!(session.get::<u64>("c"), Some(7));
    TEXT
}

async fn write(session: Session) -> &'static str {
    session.set("d", session.get::<u64>("d").unwrap_or(0) + 1);
    TEXT
}

async fn new(session: Session) -> &'static str {
    session.set("a", 7_u64);
    TEXT
}
