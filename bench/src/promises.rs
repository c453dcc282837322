//! Compares two promises with the peer: no lost update with 64 concurrent writers, and no resurrection by a save after
//! a logout.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::{Request, Response};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tower::ServiceExt;

use crate::sites;

static LOADED: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));
static LOGGED_OUT: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

/// Waits, as a handler does that queries a database between reading and writing its session.
async fn query_a_database() {
    for _ in 0..8 {
        yield_now().await;
    }
}

/// Signals that the late request has read its session, and waits until the logout has been answered.
async fn wait_for_the_logout() {
    LOADED.add_permits(1);
    LOGGED_OUT.acquire().await.expect("it is never closed").forget();
}

pub fn print(runtime: &Runtime) {
    println!("| | Ampoule | tower-sessions 0.15 |");
    println!("|---|---|---|");
    let both = |row: &dyn Fn(Router) -> String| [ours(), peer()].map(row);
    let [ours, peer] = both(&|site| runtime.block_on(kept_of_64(site)));
    println!("| 64 concurrent requests each write another key: keys that are kept | {ours} | {peer} |");
    let [ours, peer] = both(&|site| runtime.block_on(after_a_late_save(site)));
    println!("| a request saves after the logout was answered: state of the old cookie | {ours} | {peer} |");
}

async fn kept_of_64(site: Router) -> String {
    let cookie = cookie_of(&send(&site, "/login", "").await);
    let mut requests = JoinSet::new();
    for number in 0..64 {
        let (site, cookie) = (site.clone(), cookie.clone());
        requests.spawn(async move { send(&site, &format!("/set/key{number}"), &cookie).await.status() });
    }
    requests.join_all().await;
    let mut kept = 0;
    for number in 0..64 {
        kept += usize::from(text(send(&site, &format!("/has/key{number}"), &cookie).await).await == "true");
    }
    kept.to_string()
}

async fn after_a_late_save(site: Router) -> String {
    let cookie = cookie_of(&send(&site, "/login", "").await);
    let (late_site, late_cookie) = (site.clone(), cookie.clone());
    let late = tokio::spawn(async move { send(&late_site, "/late", &late_cookie).await.status() });
    LOADED.acquire().await.expect("it is never closed").forget();
    assert!(send(&site, "/logout", &cookie).await.status().is_success());
    LOGGED_OUT.add_permits(1);
    let status = late.await.expect("no panic");
    let logged_in = text(send(&site, "/has/user", &cookie).await).await == "true";
    let state = if logged_in { "logged in again" } else { "logged out" };
    format!("{state} (the late request got {})", status.as_u16())
}

fn ours() -> Router {
    use ampoule::{Error, Session};
    async fn set(session: Session, key: String) -> Result<&'static str, Error> {
        session.keys().await?;
        query_a_database().await;
        session.insert(&key, &true)?;
        session.save().await?;
        Ok("")
    }
    async fn late(session: Session) -> Result<&'static str, Error> {
        session.keys().await?;
        wait_for_the_logout().await;
        session.insert("late", &true)?;
        session.save().await?;
        Ok("")
    }
    async fn logout(session: Session) -> Result<&'static str, Error> {
        session.delete().await?;
        Ok("")
    }
    async fn has(session: Session, key: String) -> Result<String, Error> {
        Ok(session.contains_key(&key).await?.to_string())
    }
    Router::new()
        .route("/login", get(|session: Session| set(session, "user".into())))
        .route("/set/{key}", get(|session: Session, Path(key): Path<String>| set(session, key)))
        .route("/has/{key}", get(|session: Session, Path(key): Path<String>| has(session, key)))
        .route("/late", get(late))
        .route("/logout", get(logout))
        .layer(sites::ours::layer())
}

fn peer() -> Router {
    use tower_sessions::Session;
    async fn set(session: Session, key: String) -> &'static str {
        session.get::<bool>("user").await.expect("it loads");
        query_a_database().await;
        session.insert(&key, true).await.expect("it is kept");
        ""
    }
    async fn late(session: Session) -> &'static str {
        session.get::<bool>("user").await.expect("it loads");
        wait_for_the_logout().await;
        session.insert("late", true).await.expect("it is kept");
        ""
    }
    async fn logout(session: Session) -> &'static str {
        session.flush().await.expect("it is flushed");
        ""
    }
    async fn has(session: Session, key: String) -> String {
        session.get::<bool>(&key).await.expect("it loads").is_some().to_string()
    }
    Router::new()
        .route("/login", get(|session: Session| set(session, "user".into())))
        .route("/set/{key}", get(|session: Session, Path(key): Path<String>| set(session, key)))
        .route("/has/{key}", get(|session: Session, Path(key): Path<String>| has(session, key)))
        .route("/late", get(late))
        .route("/logout", get(logout))
        .layer(sites::tower_sessions::layer())
}

async fn send(site: &Router, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::get(path).header("cookie", cookie).body(Body::empty()).expect("a good request");
    site.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn cookie_of(response: &Response<Body>) -> String {
    let set = response.headers().get("set-cookie").expect("a session was created").to_str().expect("it is ASCII");
    set.split(';').next().expect("a pair").to_owned()
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a short body");
    String::from_utf8(bytes.to_vec()).expect("text")
}
