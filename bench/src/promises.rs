//! Two promises compared with the peer: the updates that 64 concurrent writers keep, and a save that is slower than a logout.

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
static GO_ON: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(0));

/// A handler does something else between reading and writing its session, such as a query of a database.
async fn something_else() {
    for _ in 0..8 {
        yield_now().await;
    }
}

/// The late request has read its session, and continues after the response to the logout.
async fn wait_for_the_logout() {
    LOADED.add_permits(1);
    GO_ON.acquire().await.expect("it is never closed").forget();
}

pub fn print(runtime: &Runtime) {
    println!("| | ours | tower-sessions 0.15 |");
    println!("|---|---|---|");
    let both = |row: &dyn Fn(Router) -> String| [ours(), peer()].map(row);
    let [ours, peer] = both(&|site| runtime.block_on(kept_of_64(site)));
    println!("| 64 requests at once each write a key of their own: kept | {ours} | {peer} |");
    let [ours, peer] = both(&|site| runtime.block_on(after_a_late_save(site)));
    println!("| a request saves after the logout has been answered: the old cookie is then | {ours} | {peer} |");
}

async fn kept_of_64(site: Router) -> String {
    let cookie = cookie_of(&ask(&site, "/login", "").await);
    let mut requests = JoinSet::new();
    for number in 0..64 {
        let (site, cookie) = (site.clone(), cookie.clone());
        requests.spawn(async move { ask(&site, &format!("/set/key{number}"), &cookie).await.status() });
    }
    requests.join_all().await;
    let mut kept = 0;
    for number in 0..64 {
        kept += usize::from(text(ask(&site, &format!("/has/key{number}"), &cookie).await).await == "true");
    }
    kept.to_string()
}

async fn after_a_late_save(site: Router) -> String {
    let cookie = cookie_of(&ask(&site, "/login", "").await);
    let (late_site, late_cookie) = (site.clone(), cookie.clone());
    let late = tokio::spawn(async move { ask(&late_site, "/late", &late_cookie).await.status() });
    LOADED.acquire().await.expect("it is never closed").forget();
    assert!(ask(&site, "/logout", &cookie).await.status().is_success());
    GO_ON.add_permits(1);
    let status = late.await.expect("no panic");
    let logged_in = text(ask(&site, "/has/user", &cookie).await).await == "true";
    let state = if logged_in { "logged in again" } else { "logged out" };
    format!("{state} (the late request was answered {})", status.as_u16())
}

fn ours() -> Router {
    use ampoule::{Error, Session};
    async fn set(session: Session, key: String) -> Result<&'static str, Error> {
        session.keys().await?;
        something_else().await;
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
        something_else().await;
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

async fn ask(site: &Router, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::get(path).header("cookie", cookie).body(Body::empty()).expect("a good request");
    site.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn cookie_of(response: &Response<Body>) -> String {
    let set = response.headers().get("set-cookie").expect("a session was made").to_str().expect("it is ASCII");
    set.split(';').next().expect("a pair").to_owned()
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a short body");
    String::from_utf8(bytes.to_vec()).expect("text")
}
