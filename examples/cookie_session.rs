//! A session in an encrypted cookie, without a store. Open http://127.0.0.1:3000/ and reload.
//!
//! The client keeps the data, so concurrent requests overwrite each other's changes, and a cookie that was copied
//! before the logout still opens the session. That is fine for a language or a theme; use a store for logins.

use ampoule::{CookieOptions, Error, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

async fn toggle(session: Session) -> Result<String, Error> {
    let dark = session.update("dark", |dark: &mut bool| *dark = !*dark).await?;
    session.save().await?;
    Ok(format!("The theme is {} now.\n", if dark { "dark" } else { "light" }))
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    let secret = Secret::new(Secret::generate().as_str())?;
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let sessions = SessionLayer::in_cookie(Options { secrets: vec![secret], cookie, ..Options::default() })?;
    Ok(Router::new().route("/", get(toggle)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, site()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ampoule_examples::Browser;

    #[tokio::test]
    async fn the_cookie_keeps_the_theme() {
        let mut browser = Browser::new(super::site().unwrap());
        for theme in ["dark", "light", "dark"] {
            assert_eq!(browser.get("/").await, format!("The theme is {theme} now.\n"));
        }
    }
}
