//! Sessions in a server of Dioxus: a counter of visits, and a login, in server functions.
//!
//! A server function has the session among its extractors, like any handler of axum. Write the session only in
//! functions that a script calls: their response starts after they return. Code that renders a page may only read it: a
//! streamed page has sent its headers already, so the cookie of a new session could not be sent any more.
//!
//! This is only the server. In a `dx` project, where WebAssembly handles the buttons, it is the part behind the feature
//! `server`, which the macros of server functions need.

use ampoule::{Error, ErrorKind, MemoryStore, Options, Secret, Session, SessionLayer};
use axum::Router;
use dioxus::fullstack::FullstackContext;
use dioxus::prelude::*;
use dioxus::server::{DioxusRouterExt, ServeConfig};

/// Returns the user and the number of visits. Only reads.
async fn greeting() -> Result<String, ServerFnError> {
    let session: Session = FullstackContext::extract().await?;
    let user = session.principal().await.map_err(ServerFnError::new)?.unwrap_or_else(|| "stranger".into());
    let visits: u32 = session.get("visits").await.map_err(ServerFnError::new)?.unwrap_or_default();
    Ok(format!("Hello, {user}. Visits: {visits}."))
}

/// Counts a visit and returns the number of visits.
#[post("/api/count", session: Session)]
async fn count() -> Result<u32, ServerFnError> {
    let visits = session.update("visits", |visits: &mut u32| *visits += 1).await.map_err(ServerFnError::new)?;
    session.save().await.map_err(ServerFnError::new)?;
    Ok(visits)
}

/// Logs in without a check; verify a password in a real program.
#[post("/api/login", session: Session)]
async fn login() -> Result<(), ServerFnError> {
    session.login("ada").await.map_err(ServerFnError::new)?;
    session.save().await.map_err(ServerFnError::new)
}

/// Ends the session at once.
#[post("/api/logout", session: Session)]
async fn logout() -> Result<(), ServerFnError> {
    session.logout().await.map_err(ServerFnError::new)
}

fn app() -> Element {
    let text = use_server_future(greeting)?;
    let text = match &*text.read_unchecked() {
        Some(Ok(text)) => text.clone(),
        Some(Err(error)) => error.to_string(),
        None => String::new(),
    };
    rsx! {
        p { "{text}" }
        button { onclick: move |_| async move { count().await?; dioxus::Ok(()) }, "Count" }
        button { onclick: move |_| async move { login().await?; dioxus::Ok(()) }, "Log in" }
        button { onclick: move |_| async move { logout().await?; dioxus::Ok(()) }, "Log out" }
    }
}

/// The pages and the server functions, with a session in each request. If `dx` has built the client's files,
/// `dioxus::server::router(app)` also serves those.
fn site(sessions: SessionLayer) -> Router {
    Router::new().serve_api_application(ServeConfig::new(), app).layer(sessions)
}

fn sessions() -> Result<SessionLayer, Error> {
    let secret = Secret::new(Secret::generate()).map_err(|weak| Error::new(ErrorKind::Config, weak.to_string()))?;
    SessionLayer::new(MemoryStore::default(), Options { secrets: vec![secret], ..Options::default() })
}

fn main() {
    dioxus::serve(|| async { Ok(site(sessions()?)) });
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use tower::ServiceExt;

    #[tokio::test(flavor = "multi_thread")]
    async fn server_functions_write_the_session_and_pages_read_it() {
        let app = super::site(super::sessions().unwrap());
        let mut cookie = String::new();
        for (action, expected) in [
            ("", "Hello, stranger. Visits: 0."),
            ("/api/count", "Hello, stranger. Visits: 1."),
            ("/api/login", "Hello, ada. Visits: 1."),
            ("/api/count", "Hello, ada. Visits: 2."),
            ("/api/logout", "Hello, stranger. Visits: 0."),
        ] {
            if !action.is_empty() {
                let request = Request::post(action).header(header::COOKIE, &cookie);
                let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
                let response = app.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK, "{action}");
                if let Some(set) = response.headers().get(header::SET_COOKIE) {
                    cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
                }
            }
            let request = Request::get("/").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert!(!response.headers().contains_key(header::SET_COOKIE), "a page that reads sets no cookie");
            let page = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let page = String::from_utf8(page.to_vec()).unwrap();
            assert!(page.contains(expected), "{action}: {page}");
        }
    }
}
