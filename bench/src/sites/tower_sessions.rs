//! The routes with the sessions of tower-sessions, in memory with signed ids, or in encrypted cookies.

use axum::Router;
use axum::routing::get;
use tower_sessions::cookie::Key;
use tower_sessions::service::SignedCookie;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use super::{FILL_ROUTES, TEXT};

pub fn layer() -> SessionManagerLayer<MemoryStore, SignedCookie> {
    SessionManagerLayer::new(MemoryStore::default()).with_name("sid").with_signed(Key::from(&[7; 64]))
}

pub fn site() -> Router {
    routes().layer(layer())
}

/// Defines the routes and their handlers for the `Session` in scope: the cookie store has its own type with the same
/// methods.
macro_rules! routes {
    () => {
        fn routes() -> Router {
            let routes = Router::new()
                .route("/untouched", get(|| async { TEXT }))
                .route("/read", get(read))
                .route("/write", get(write))
                .route("/new", get(new));
            let fill = |size| get(move |session: Session| fill(session, size));
            FILL_ROUTES.into_iter().fold(routes, |routes, (path, size)| routes.route(path, fill(size)))
        }

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
    };
}

routes!();

#[cfg(feature = "peers")]
pub use self::cookie_store::site as in_cookie;

/// The cookie store uses the `Session` of tower-sessions 0.14.
#[cfg(feature = "peers")]
mod cookie_store {
    use tower_sessions_cookie_store::{CookieSessionConfig, CookieSessionManagerLayer, Key, Session};

    use super::super::{FILL_ROUTES, TEXT};
    use super::{Router, get};

    pub fn site() -> Router {
        // A higher limit, since its cookie for the same session is longer than Ampoule's.
        let config = CookieSessionConfig::default().with_name("sid").with_max_cookie_bytes(16_384);
        let layer = CookieSessionManagerLayer::private(Key::from(&[7; 64])).with_config(config);
        routes().layer(layer)
    }

    routes!();
}
