//! The routes with Ampoule's sessions, in memory or in encrypted cookies.

use std::sync::Arc;

use ampoule::{Error, MemoryBounds, MemoryStore, Options, Secret, Session, SessionLayer, Store, SystemClock};
use axum::Router;
use axum::routing::get;

use super::{FILL_ROUTES, TEXT};

pub fn layer() -> SessionLayer {
    over(Arc::new(store()))
}

pub fn over(store: Arc<dyn Store>) -> SessionLayer {
    SessionLayer::new(store, options()).expect("good options")
}

pub fn in_cookie() -> SessionLayer {
    SessionLayer::in_cookie(options()).expect("good options")
}

pub fn store() -> MemoryStore {
    MemoryStore::new(
        MemoryBounds { entries: 20_000_000, bytes: 16 << 30, ..MemoryBounds::default() },
        Arc::new(SystemClock),
    )
}

fn options() -> Options {
    let secret = Secret::new("8IWvLV-gUbTWRoTt7f38wBohu5IjFbSPPi28PU_E4gw").expect("a good secret");
    let cookie = ampoule::CookieOptions { name: "sid".into(), ..ampoule::CookieOptions::default() };
    Options { secrets: vec![secret], cookie, ..Options::default() }
}

pub fn site(layer: SessionLayer) -> Router {
    let routes = Router::new()
        .route("/untouched", get(|| async { TEXT }))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new));
    let fill = |size| get(move |session: Session| fill(session, size));
    FILL_ROUTES.into_iter().fold(routes, |routes, (path, size)| routes.route(path, fill(size))).layer(layer)
}

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
