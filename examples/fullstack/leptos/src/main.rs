//! Sessions in a server of Leptos: a counter of visits, and a login, in server functions.
//!
//! A server function gets the session by `leptos_axum::extract`. Two rules:
//!
//! - Write the session in server functions that a form or a script calls, as below: their response starts after they
//!   return.
//! - Code that renders a page may only read it. Leptos streams pages, so the cookie of a session that is created during
//!   rendering could not be sent any more: `save` returns an error.
//!
//! The forms work without WebAssembly, so the example is only the server. In a cargo-leptos project this is the part
//! behind the feature `ssr`.

use ampoule::{MemoryStore, Options, Secret, Session, SessionLayer};
use axum::Router;
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, extract, generate_route_list};
use leptos_router::components::{Route, Router as Pages, Routes};
use leptos_router::path;

/// Returns the session of the current request.
async fn session() -> Result<Session, ServerFnError> {
    Ok(extract::<Session>().await?)
}

/// Returns the user and the number of visits. Only reads.
async fn greeting() -> Result<String, ServerFnError> {
    let session = session().await?;
    let user = session.principal().await.map_err(ServerFnError::new)?.unwrap_or_else(|| "stranger".into());
    let visits: u32 = session.get("visits").await.map_err(ServerFnError::new)?.unwrap_or_default();
    Ok(format!("Hello, {user}. Visits: {visits}."))
}

/// Counts a visit.
#[server(prefix = "/api", endpoint = "count")]
async fn count() -> Result<(), ServerFnError> {
    let session = session().await?;
    session.update("visits", |visits: &mut u32| *visits += 1).await.map_err(ServerFnError::new)?;
    session.save().await.map_err(ServerFnError::new)?;
    leptos_axum::redirect("/");
    Ok(())
}

/// Logs in without a check; verify a password in a real program.
#[server(prefix = "/api", endpoint = "login")]
async fn login() -> Result<(), ServerFnError> {
    let session = session().await?;
    session.login("ada").await.map_err(ServerFnError::new)?;
    session.save().await.map_err(ServerFnError::new)?;
    leptos_axum::redirect("/");
    Ok(())
}

/// Ends the session at once.
#[server(prefix = "/api", endpoint = "logout")]
async fn logout() -> Result<(), ServerFnError> {
    session().await?.logout().await.map_err(ServerFnError::new)?;
    leptos_axum::redirect("/");
    Ok(())
}

#[component]
fn Home() -> impl IntoView {
    let greeting = Resource::new(|| (), |()| greeting());
    let (count, login, logout) =
        (ServerAction::<Count>::new(), ServerAction::<Login>::new(), ServerAction::<Logout>::new());
    view! {
        <Suspense>{move || Suspend::new(async move { greeting.await.unwrap_or_else(|error| error.to_string()) })}</Suspense>
        <ActionForm action=count><button>"Count"</button></ActionForm>
        <ActionForm action=login><button>"Log in"</button></ActionForm>
        <ActionForm action=logout><button>"Log out"</button></ActionForm>
    }
}

#[component]
fn App() -> impl IntoView {
    view! { <Pages><Routes fallback=|| "There is no such page."><Route path=path!("/") view=Home/></Routes></Pages> }
}

fn shell(_: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html><head><title>"Sessions"</title></head><body><App/></body></html>
    }
}

/// The pages and the server functions, with a session in each request.
fn site(sessions: SessionLayer) -> Router {
    let options = LeptosOptions::builder().output_name("sessions").build();
    let at = options.clone();
    Router::new()
        .leptos_routes(&options, generate_route_list(App), move || shell(at.clone()))
        .with_state(options)
        .layer(sessions)
}

fn sessions() -> Result<SessionLayer, ampoule::Error> {
    let secret = Secret::new(Secret::generate())
        .map_err(|weak| ampoule::Error::new(ampoule::ErrorKind::Config, weak.to_string()))?;
    SessionLayer::new(MemoryStore::default(), Options { secrets: vec![secret], ..Options::default() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, site(sessions()?)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use tower::ServiceExt;

    #[tokio::test]
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
                let request = Request::post(action).header(header::COOKIE, &cookie).header(header::ACCEPT, "text/html");
                let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
                assert_eq!(response.status(), StatusCode::FOUND, "{action}");
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
