//! An API without cookies: a client logs in with JSON, and then sends a bearer token.
//!
//! ```console
//! token=$(curl -s http://127.0.0.1:3000/login --json '{"name": "ada"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
//! curl http://127.0.0.1:3000/cart -H "Authorization: Bearer $token" --json '{"article": "tea"}'
//! ```

use ampoule::{Error, MemoryStore, Options, Secret, Session, SessionLayer, Transport};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

async fn login(session: Session, Json(login): Json<Login>) -> Result<Json<Token>, Error> {
    // Check a password or a key here.
    session.login(&login.name).await?;
    session.save().await?;
    let token = session.token().await?;
    Ok(Json(Token { token: token.map(|token| token.as_str().to_owned()).unwrap_or_default() }))
}

#[derive(Deserialize)]
struct Article {
    article: String,
}

async fn add(session: Session, Json(article): Json<Article>) -> Result<Json<Vec<String>>, Error> {
    session.require_login().await?;
    let cart = session.update("cart", move |cart: &mut Vec<String>| cart.push(article.article.clone())).await?;
    session.save().await?;
    Ok(Json(cart))
}

async fn cart(session: Session) -> Result<Json<Vec<String>>, Error> {
    session.require_login().await?;
    Ok(Json(session.get("cart").await?.unwrap_or_default()))
}

async fn logout(session: Session) -> Result<(), Error> {
    session.logout().await
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    let secrets = vec![Secret::new(Secret::generate().as_str())?];
    let options = Options { secrets, transports: vec![Transport::Bearer], ..Options::default() };
    let sessions = SessionLayer::new(MemoryStore::default(), options)?;
    let routes = Router::new().route("/login", post(login)).route("/logout", post(logout));
    Ok(routes.route("/cart", get(cart).post(add)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, site()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    async fn ask(app: &Router, method: &str, path: &str, token: &str, json: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(json.to_owned()));
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert!(!response.headers().contains_key("set-cookie"));
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_client_logs_in_with_json_and_uses_its_token() {
        let app = super::site().unwrap();
        assert_eq!(ask(&app, "GET", "/cart", "none", "").await.0, 403);
        let (_, answer) = ask(&app, "POST", "/login", "", r#"{"name":"ada"}"#).await;
        let token = answer.split('"').nth(3).unwrap();
        ask(&app, "POST", "/cart", token, r#"{"article":"tea"}"#).await;
        let (_, cart) = ask(&app, "POST", "/cart", token, r#"{"article":"milk"}"#).await;
        assert_eq!(cart, r#"["tea","milk"]"#);
        assert_eq!(ask(&app, "GET", "/cart", token, "").await.1, cart);
        ask(&app, "POST", "/logout", token, "").await;
        assert_eq!(ask(&app, "GET", "/cart", token, "").await.0, 403);
    }
}
