//! A session in an axum app: one layer, one extractor. Open http://127.0.0.1:3000/ and reload.

use ampoule::{CookieOptions, Error, FileOptions, FileStore, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

async fn count(session: Session) -> Result<String, Error> {
    let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
    session.save().await?;
    Ok(format!("You have been here {visits} times.\n"))
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    // A real program reads the secret from its configuration: a fresh one logs out all users at each start.
    let secret = Secret::new(Secret::generate().as_str())?;
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let options = Options { secrets: vec![secret], cookie, ..Options::default() };
    let folder = std::env::temp_dir().join("ampoule-counter");
    let sessions = SessionLayer::new(FileStore::open(folder, FileOptions::default())?, options)?;
    Ok(Router::new().route("/", get(count)).layer(sessions))
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
    async fn each_visit_counts() {
        let mut browser = Browser::new(super::site().unwrap());
        for visits in 1..4 {
            assert_eq!(browser.get("/").await, format!("You have been here {visits} times.\n"));
        }
    }
}
