//! actix-session on actix-web, with its Redis store, set up as in its documentation, but with signed cookies: by
//! default it encrypts the id, and its documentation calls signing more than enough for a Redis store.

use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionGetError, SessionInsertError, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::cookie::time::Duration;
use actix_web::web::get;
use actix_web::{App, HttpServer};

use super::{LIFETIME_SECONDS, SECRET, TEXT, WORKERS, print_port};

pub fn run(redis: &str) -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let store = RedisSessionStore::new(redis).await.expect("Redis answers");
        let lifetime = Duration::seconds(LIFETIME_SECONDS.into());
        let server = HttpServer::new(move || {
            let sessions = SessionMiddleware::builder(store.clone(), Key::from(&SECRET))
                .session_lifecycle(BrowserSession::default().state_ttl(lifetime))
                .cookie_content_security(CookieContentSecurity::Signed)
                .build();
            App::new()
                .wrap(sessions)
                .route("/untouched", get().to(async || TEXT))
                .route("/fill", get().to(fill))
                .route("/read", get().to(read))
                .route("/write", get().to(write))
                .route("/count", get().to(count))
                .route("/new", get().to(new))
        });
        let server = server.workers(WORKERS).bind(("127.0.0.1", 0))?;
        print_port(server.addrs()[0].port());
        server.run().await
    })
}

async fn fill(session: Session) -> Result<&'static str, SessionInsertError> {
    for key in ["a", "b", "c"] {
        session.insert(key, 7_u64)?;
    }
    session.insert("d", 0_u64)?;
    session.insert("text", "horse")?;
    Ok(TEXT)
}

async fn read(session: Session) -> Result<&'static str, SessionGetError> {
    assert_eq!(session.get::<u64>("c")?, Some(7));
    Ok(TEXT)
}

async fn write(session: Session) -> Result<&'static str, actix_web::Error> {
    session.insert("d", counter(&session)? + 1)?;
    Ok(TEXT)
}

async fn count(session: Session) -> Result<String, SessionGetError> {
    Ok(counter(&session)?.to_string())
}

async fn new(session: Session) -> Result<&'static str, SessionInsertError> {
    session.insert("a", 7_u64)?;
    Ok(TEXT)
}

fn counter(session: &Session) -> Result<u64, SessionGetError> {
    Ok(session.get("d")?.unwrap_or_default())
}
