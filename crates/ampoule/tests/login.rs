//! Login and logout: a new id, whose it is, since when, and how fresh.

mod support;

use std::time::Duration;

use ampoule::{Error, Session};
use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use support::{HOUR, Place, Site};

on_each_place! {
    a_login_rotates_and_says_whose_it_is_and_since_when;
    another_s_login_starts_empty;
}

fn site(place: Place) -> Site {
    let mut site = Site::new(place);
    site.app = support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

async fn a_login_rotates_and_says_whose_it_is_and_since_when(place: Place) {
    let site = site(place);
    let mut client = site.client();
    client.post("/set/cart/tea").await;
    let before = client.jar.clone();
    assert_eq!(client.get("/private").await.status, 403);
    client.post("/log-in/ada").await;
    assert_ne!(client.jar, before);
    assert_eq!(client.get("/private").await.text, "ada");
    assert_eq!(client.value("cart").await, "tea");
    assert_eq!(client.get("/since").await.text, "0");
    site.clock.advance(HOUR);
    assert_eq!(client.get("/since").await.text, "0");
    assert_eq!(client.get("/private").await.text, "ada");
    let stale = client.get("/fresh/600").await;
    assert_eq!((stale.status.as_u16(), stale.text.as_str()), (403, "Please log in first.\n"));
    client.post("/log-in/ada").await;
    assert_eq!((client.get("/fresh/600").await.text, client.get("/since").await.text), ("ada".into(), "3600".into()));
    assert_eq!(client.value("cart").await, "tea");
}

async fn another_s_login_starts_empty(place: Place) {
    let site = site(place);
    let mut client = site.client();
    client.post("/log-in/ada").await;
    client.post("/set/diary/secret").await;
    let ada = client.clone();
    client.post("/log-in/bob").await;
    assert_eq!(client.get("/private").await.text, "bob");
    assert_eq!(client.value("diary").await, "none");
    if place != Place::Cookie {
        assert_eq!(ada.clone().get("/private").await.status, 403, "her session has ended");
    }
}

#[tokio::test]
async fn a_logout_ends_it_and_may_clear_the_browser() {
    let site = site(Place::Memory);
    let mut client = site.client();
    client.post("/log-in/ada").await;
    let copied = client.clone();
    let answer = client.post("/log-out").await;
    assert_eq!(answer.headers["clear-site-data"], "\"cache\", \"storage\"");
    assert!(client.jar.is_empty());
    assert_eq!(copied.clone().get("/private").await.status, 403);
    assert!(!client.get("/since").await.headers.contains_key("clear-site-data"));
}

#[tokio::test]
async fn a_visitor_was_never_authenticated() {
    let site = site(Place::Memory);
    let mut client = site.client();
    assert_eq!(client.get("/since").await.text, "never");
    assert_eq!(client.get("/fresh/600").await.status, 403);
    // Also one who is known without having proved it: by a principal alone.
    client.post("/login/ada").await;
    assert_eq!(
        (client.get("/since").await.text.as_str(), client.get("/fresh/600").await.status.as_u16()),
        ("never", 403)
    );
}

/// Who planted the session of a visitor may know the token of its forms.
#[tokio::test]
async fn the_token_of_forms_is_made_anew_at_login_and_kept_by_rotation() {
    let site = site(Place::Memory);
    let mut client = site.client();
    let visitor_s = client.get("/token").await.text;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "true");
    client.post("/rotate").await;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "true");
    client.post("/log-in/ada").await;
    assert_eq!(client.get(&format!("/verify/{visitor_s}")).await.text, "false");
    let own = client.get("/token").await.text;
    client.post("/log-in/ada").await;
    assert_eq!(client.get(&format!("/verify/{own}")).await.text, "true", "she only proved it again");
    client.post("/log-out").await;
    assert_eq!(client.get(&format!("/verify/{own}")).await.text, "false");
}

fn routes() -> Router {
    Router::new()
        .route("/log-in/{user}", post(log_in))
        .route("/log-out", post(log_out))
        .route("/rotate", post(rotate))
        .route("/private", get(|session: Session| async move { session.require_login().await }))
        .route("/fresh/{seconds}", get(fresh))
        .route("/since", get(since))
        .route("/token", get(|session: Session| async move { session.csrf_token().await.map(|token| token.masked()) }))
        .route("/verify/{token}", get(verify))
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<(), Error> {
    session.login(&user).await?;
    session.save().await
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.clear_site_data();
    session.logout().await
}

async fn rotate(session: Session) -> Result<(), Error> {
    session.regenerate_id();
    session.save().await
}

async fn fresh(session: Session, Path(seconds): Path<u64>) -> Result<String, Error> {
    session.require_fresh(Duration::from_secs(seconds)).await
}

/// In seconds after the session was made.
async fn since(session: Session) -> Result<String, Error> {
    let (proved, made) = (session.authenticated_at().await?, session.created().await?);
    Ok(proved.map_or_else(|| "never".to_owned(), |proved| proved.since(made).as_secs().to_string()))
}

async fn verify(session: Session, Path(token): Path<String>) -> Result<String, Error> {
    session.verify_csrf_token(&token).await.map(|right| right.to_string())
}
