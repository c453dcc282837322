//! Two sessions with different cookie names in one app: a shop's and its back office's. Open http://127.0.0.1:3000/

use ampoule::{CookieOptions, Error, MemoryStore, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

async fn page(session: Session) -> Result<String, Error> {
    // The extractor returns the innermost layer's session; the others are found by the names of their cookies.
    let (Some(shop), Some(office)) = (session.named("shop"), session.named("office")) else {
        return Ok("both layers are mounted below".to_owned());
    };
    let articles = shop.update("cart", |articles: &mut u32| *articles += 1).await?;
    shop.save().await?;
    let clerk: Option<String> = office.get("clerk").await?;
    Ok(format!("{articles} articles in the cart; the clerk is {}\n", clerk.as_deref().unwrap_or("none")))
}

fn sessions(name: &str, path: &str) -> Result<SessionLayer, Box<dyn std::error::Error>> {
    let secret = Secret::new(Secret::generate().as_str())?;
    let cookie = CookieOptions { name: name.into(), path: path.into(), secure: false, ..CookieOptions::default() };
    let options = Options { secrets: vec![secret], cookie, ..Options::default() };
    Ok(SessionLayer::new(MemoryStore::default(), options)?)
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    Ok(Router::new().route("/", get(page)).layer(sessions("shop", "/")?).layer(sessions("office", "/office")?))
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
    async fn using_one_session_does_not_touch_the_other() {
        let mut browser = Browser::new(super::site().unwrap());
        browser.get("/").await;
        assert_eq!(browser.get("/").await, "2 articles in the cart; the clerk is none\n");
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["shop"]);
    }
}
