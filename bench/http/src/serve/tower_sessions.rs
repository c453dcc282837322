//! tower-sessions on axum, with its Redis store: signed cookies, and six connections, as in the store's documentation.
//! By default, it saves only modified sessions.

use axum::Router;
use axum::routing::get;
use time::Duration;
use tower_sessions::cookie::Key;
use tower_sessions::session::Error;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};

use super::{LIFETIME_SECONDS, SECRET, TEXT};

/// The number of connections in the store's documentation.
const CONNECTIONS: usize = 6;

pub async fn router(redis: &str) -> Router {
    let config = Config::from_url(redis).expect("a good URL");
    let pool = Pool::new(config, None, None, None, CONNECTIONS).expect("a good size");
    pool.connect();
    pool.wait_for_connect().await.expect("Redis answers");
    let layer = SessionManagerLayer::new(RedisStore::new(pool))
        .with_signed(Key::from(&SECRET))
        .with_expiry(Expiry::OnInactivity(Duration::seconds(LIFETIME_SECONDS.into())));
    Router::new()
        .route("/untouched", get(async || TEXT))
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/count", get(count))
        .route("/new", get(new))
        .layer(layer)
}

async fn fill(session: Session) -> &'static str {
    for key in ["a", "b", "c"] {
        session.insert(key, 7_u64).await.expect("it is inserted");
    }
    session.insert("d", 0_u64).await.expect("it is inserted");
    session.insert("text", "horse").await.expect("it is inserted");
    TEXT
}

async fn read(session: Session) -> &'static str {
    assert_eq!(session.get::<u64>("c").await.expect("it loads"), Some(7));
    TEXT
}

async fn write(session: Session) -> &'static str {
    let count = counter(&session).await.expect("it loads");
    session.insert("d", count + 1).await.expect("it is inserted");
    TEXT
}

async fn count(session: Session) -> String {
    counter(&session).await.expect("it loads").to_string()
}

async fn new(session: Session) -> &'static str {
    session.insert("a", 7_u64).await.expect("it is inserted");
    TEXT
}

async fn counter(session: &Session) -> Result<u64, Error> {
    Ok(session.get("d").await?.unwrap_or_default())
}
