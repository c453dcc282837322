//! A session that its cookie holds, sealed: no store. Open http://127.0.0.1:3000/ and reload.
//!
//! The client keeps the data, so requests that run at once overwrite each other, and who copied the cookie before a
//! logout still has its session. For a language or a theme that is fine; for a login take a store.

use ampoule::{CookieOptions, Error, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

async fn toggle(session: Session) -> Result<String, Error> {
    let dark = session.update("dark", |dark: &mut bool| *dark = !*dark).await?;
    session.save().await?;
    Ok(format!("The theme is {} now.\n", if dark { "dark" } else { "light" }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = Secret::new(Secret::generate().as_str())?;
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let sessions = SessionLayer::in_cookie(Options { secret: vec![secret], cookie, ..Options::default() })?;

    let app = Router::new().route("/", get(toggle)).layer(sessions);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
