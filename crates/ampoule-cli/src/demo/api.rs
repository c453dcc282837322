//! For programs: a session without a cookie. Log in with JSON, and go on with the token.

use ampoule::{Error, Key, Session};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

const VISITS: Key<u64> = Key::new("visits");

pub(crate) fn routes() -> Router {
    Router::new().route("/", get(visit)).route("/login", post(login)).route("/logout", post(logout))
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

/// A real site checks a key here.
async fn login(session: Session, Json(login): Json<Login>) -> Result<Json<Token>, Error> {
    session.login(&login.name).await?;
    session.save().await?;
    let token = session.token().await?;
    Ok(Json(Token { token: token.map(|token| token.as_str().to_owned()).unwrap_or_default() }))
}

#[derive(Serialize)]
struct Visits {
    name: String,
    visits: u64,
}

async fn visit(session: Session) -> Result<Json<Visits>, Error> {
    let name = session.require_login().await?;
    let visits = session.update(VISITS, |visits| *visits += 1).await?;
    session.save().await?;
    Ok(Json(Visits { name, visits }))
}

async fn logout(session: Session) -> Result<(), Error> {
    session.logout().await
}
