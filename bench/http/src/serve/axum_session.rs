//! axum_session on axum, with its Redis pool of sixteen connections and signed ids: with its defaults, and without the
//! copy of each session that it keeps in its process for an hour.

use axum::Router;
use axum::routing::get;
use axum_session::{Key, SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::{SessionRedisPool, SessionRedisSession as Session};
use redis_pool::RedisPool;
use time::Duration;

use super::{LIFETIME_SECONDS, SECRET, TEXT};

pub async fn router(redis: &str, caches_in_process: bool) -> Router {
    let client = redis::Client::open(redis).expect("a good URL");
    let pool = SessionRedisPool::from(RedisPool::from(client));
    let mut config =
        SessionConfig::default().with_key(Key::from(&SECRET)).with_lifetime(Duration::seconds(LIFETIME_SECONDS.into()));
    if !caches_in_process {
        config = config.with_memory_lifetime(Duration::ZERO);
    }
    let store = SessionStore::new(Some(pool), config).await.expect("Redis answers");
    Router::new()
        .route("/untouched", get(async || TEXT))
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/count", get(count))
        .route("/new", get(new))
        .layer(SessionLayer::new(store))
}

async fn fill(session: Session) -> &'static str {
    for key in ["a", "b", "c"] {
        session.set(key, 7_u64);
    }
    session.set("d", 0_u64);
    session.set("text", "horse");
    TEXT
}

async fn read(session: Session) -> &'static str {
    assert_eq!(session.get::<u64>("c"), Some(7));
    TEXT
}

async fn write(session: Session) -> &'static str {
    session.set("d", counter(&session) + 1);
    TEXT
}

async fn count(session: Session) -> String {
    counter(&session).to_string()
}

async fn new(session: Session) -> &'static str {
    session.set("a", 7_u64);
    TEXT
}

fn counter(session: &Session) -> u64 {
    session.get("d").unwrap_or_default()
}
