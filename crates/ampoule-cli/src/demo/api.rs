//! A JSON API with a session by bearer token instead of a cookie. Errors are JSON too.

use ampoule::{Error, ErrorKind, Key, Session};
use axum::extract::rejection::JsonRejection;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

const VISITS: Key<u64> = Key::new("visits");

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(visit))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "this path does not exist"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not support the method")
        })
}

/// An error in the format of RFC 9457.
struct Problem {
    status: StatusCode,
    detail: String,
    /// The `WWW-Authenticate` of a 401 (RFC 9110 section 11.6.1).
    challenge: Option<&'static str>,
    is_transient: bool,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), challenge: None, is_transient: false }
    }

    /// Converts a session's error. A missing login is a 401 with the challenge of RFC 6750 section 3, since a program
    /// can send a token; the challenge has an error if the request had a token.
    fn of(error: &Error, headers: &HeaderMap) -> Problem {
        let (status, text) = error.kind().for_client();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem { is_transient: error.is_transient(), ..Problem::new(status, text.trim_end()) };
        match (error.kind(), headers.contains_key(AUTHORIZATION)) {
            (ErrorKind::LoginRequired, true) => Problem {
                status: StatusCode::UNAUTHORIZED,
                detail: "the token belongs to no logged-in session: the session has ended, or never existed".into(),
                challenge: Some(r#"Bearer realm="ampoule", error="invalid_token""#),
                ..problem
            },
            (ErrorKind::LoginRequired, false) => Problem {
                status: StatusCode::UNAUTHORIZED,
                detail: "expected the header Authorization: Bearer TOKEN, with the token that /login returns".into(),
                challenge: Some(r#"Bearer realm="ampoule""#),
                ..problem
            },
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            detail: String,
        }
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = Body { r#type: "about:blank", title, status: self.status.as_u16(), detail: self.detail };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.is_transient {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

/// Logs in with a name. A real site checks an API key here.
async fn login(
    session: Session,
    headers: HeaderMap,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Json<Token>, Problem> {
    let Json(login) = login.map_err(|refused| Problem::new(refused.status(), refused.body_text()))?;
    let name = login.name.trim();
    if name.is_empty() {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the name is blank; expected a name to log in with",
        ));
    }
    begin(&session, name).await.map(Json).map_err(|error| Problem::of(&error, &headers))
}

async fn begin(session: &Session, name: &str) -> Result<Token, Error> {
    session.login(name).await?;
    session.save().await?;
    let token = session.token().await?;
    Ok(Token { token: token.map(|token| token.as_str().to_owned()).unwrap_or_default() })
}

#[derive(Serialize)]
struct Visits {
    name: String,
    visits: u64,
}

async fn visit(session: Session, headers: HeaderMap) -> Result<Json<Visits>, Problem> {
    count(&session).await.map(Json).map_err(|error| Problem::of(&error, &headers))
}

async fn count(session: &Session) -> Result<Visits, Error> {
    let name = session.require_login().await?;
    let visits = session.update(VISITS, |visits| *visits += 1).await?;
    session.save().await?;
    Ok(Visits { name, visits })
}

async fn logout(session: Session, headers: HeaderMap) -> Result<(), Problem> {
    session.logout().await.map_err(|error| Problem::of(&error, &headers))
}
