//! A thief who comes with copies of cookies, and what the server answers.
//!
//! The server plays both parts: a victim whose sessions are made for the play and end with it, and the thief. Their requests
//! pass the layer that is around the site. A second button plays the first attempt with the visitor's own cookie, which
//! is copied for the time of that one request, and never kept or shown.

use ampoule::{Error, EventKind, Key, Session, SessionId};
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::routing::{get, post};
use axum::{Json, Router};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use super::frame::Site;
use super::lab::Lab;
use super::page::{Answer, Page};

const ATTEMPTS: Key<Vec<Attempt>> = Key::new("thief");
const LETTER: Key<String> = Key::new("letter");

/// What a thief tried, and what came of it.
#[derive(Clone, Serialize, Deserialize)]
struct Attempt {
    /// Which text tells of it: `copy`, `early`, `late`, `two`, `mine`.
    what: String,
    /// The user for whom the server took the thief, if for one.
    user: Option<String>,
    /// Whether the thief could read what the victim wrote after the login.
    has_read: bool,
    /// Why the server refused what the thief would have saved.
    refused: Option<String>,
    /// What the server noted.
    event: Option<String>,
}

/// What the server believes of a request.
#[derive(Default, Serialize, Deserialize)]
struct Seen {
    user: Option<String>,
    letter: Option<String>,
    id: Option<String>,
    refused: Option<String>,
}

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/thief", get(show)).route("/thief/try", post(try_all)).route("/thief/mine", post(try_mine))
}

async fn show(page: Page) -> Answer {
    let attempts = page.session.get(ATTEMPTS).await?.unwrap_or_default();
    page.show("thief", context! { attempts => Value::from(Serde(attempts)), is_possible => page.lab.is_some() }).await
}

async fn try_all(page: Page) -> Answer {
    let Some(lab) = &page.lab else { return page.back_to_page("/thief") };
    let Some(_permit) = lab.permit(page.session.id().await?).await else { return page.busy("/thief").await };
    let attempts = play(lab).await?;
    page.session.insert(ATTEMPTS, attempts)?;
    page.session.save().await?;
    page.back_to_page("/thief#attempts")
}

/// With the visitor's own cookie, which is worthless afterwards: this logs the visitor out.
async fn try_mine(mut page: Page, headers: HeaderMap) -> Answer {
    let Some(lab) = page.lab.clone() else { return page.back_to_page("/thief") };
    let id = page.session.id().await?;
    let Some(_permit) = lab.permit(id).await else { return page.busy("/thief").await };
    let copy = Browser { cookies: headers.get_all(COOKIE).iter().cloned().collect(), ..Browser::new(&lab) };
    page.session.logout().await?;
    let attempt = attempt("mine", copy, id).await?;
    let lang = page.frame.language.tag();
    page.frame.language.set_lang(&page.session, &lang)?;
    page.session.insert(ATTEMPTS, vec![attempt])?;
    page.flash.notice(page.text("flash-goodbye", []))?;
    page.session.save().await?;
    page.back_to_page("/thief#attempts")
}

/// All attempts, on a victim who visits, logs in, and logs out.
async fn play(lab: &Lab) -> Result<Vec<Attempt>, Error> {
    let (mut victim, mut thief) = (Browser::new(lab), Browser::new(lab));
    let visitor = victim.open("/visit").await?.id();
    let before_login = victim.clone();
    victim.open("/login").await?;
    let early = attempt("early", before_login.clone(), visitor).await?;
    // The first request with the cookie of the login ends the session before it.
    let user = victim.open("/").await?.id();
    let late = attempt("late", before_login, visitor).await?;
    thief.open("/visit").await?;
    let both = Browser { cookies: [&victim.cookies[..], &thief.cookies].concat(), ..victim.clone() };
    let two = attempt("two", both, user).await?;
    thief.open("/logout").await?;
    let stolen = victim.clone();
    victim.open("/logout").await?;
    Ok(vec![attempt("copy", stolen, user).await?, early, late, two])
}

/// What comes of a copy of the cookies of the session with this id.
async fn attempt(what: &str, mut copy: Browser, id: Option<SessionId>) -> Result<Attempt, Error> {
    // With two live sessions neither counts, so what it saved would be a new one.
    let seen = copy.open(if what == "two" { "/" } else { "/write" }).await?;
    let event = id.and_then(|id| copy.lab.last_event_of(id)).map(EventKind::name);
    // That an ended session was made once, or ended, is no answer to the thief.
    let event = event.filter(|event| ["expired", "replayed", "conflicting"].contains(event)).map(str::to_owned);
    let (has_read, refused) = (seen.letter.is_some(), seen.refused);
    Ok(Attempt { what: what.to_owned(), user: seen.user, has_read, refused, event })
}

/// A client with cookies, of the victim's or the thief's.
#[derive(Clone)]
struct Browser {
    lab: Lab,
    site: Router,
    cookies: Vec<HeaderValue>,
}

impl Seen {
    fn id(&self) -> Option<SessionId> {
        SessionId::parse(self.id.as_deref()?)
    }
}

impl Browser {
    fn new(lab: &Lab) -> Browser {
        let site = Router::new()
            .route("/", get(look))
            .route("/write", get(write))
            .route("/visit", get(visit))
            .route("/login", get(login))
            .route("/logout", get(logout))
            .layer(lab.sessions().clone());
        Browser { lab: lab.clone(), site, cookies: Vec::new() }
    }

    /// What the server believes of a request with these cookies; keeps those that it sends.
    async fn open(&mut self, path: &'static str) -> Result<Seen, Error> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().expect("a path of ours is one");
        request.headers_mut().extend(self.cookies.iter().map(|cookie| (COOKIE, cookie.clone())));
        let Ok(response) = self.site.clone().oneshot(request).await;
        let pair =
            |cookie: &HeaderValue| HeaderValue::from_bytes(cookie.as_bytes().split(|byte| *byte == b';').next()?).ok();
        let sent: Vec<HeaderValue> = response.headers().get_all(SET_COOKIE).iter().filter_map(pair).collect();
        if !sent.is_empty() {
            self.cookies = sent;
        }
        let body = to_bytes(response.into_body(), 4_096).await.unwrap_or_default();
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

async fn look(session: Session) -> Result<Json<Seen>, Error> {
    seen(&session).await
}

/// Reads, and saves something.
async fn write(session: Session) -> Result<Json<Seen>, Error> {
    let Json(seen) = seen(&session).await?;
    session.insert("thief", "was here")?;
    let saved = session.save().await;
    Ok(Json(Seen { refused: saved.err().map(|error| error.kind().name().to_owned()), ..seen }))
}

async fn visit(session: Session) -> Result<Json<Seen>, Error> {
    session.insert("visits", 1)?;
    session.save().await?;
    seen(&session).await
}

/// As a user that there is no other of, so that the play meets no visitor's sessions.
async fn login(session: Session) -> Result<Json<Seen>, Error> {
    let id = session.id().await?.map(|id| id.to_string()).unwrap_or_default();
    session.login(&format!("victim of a play {id}")).await?;
    session.insert(LETTER, "only for the one who logged in".to_owned())?;
    session.save().await?;
    seen(&session).await
}

async fn logout(session: Session) -> Result<Json<Seen>, Error> {
    session.logout().await?;
    Ok(Json(Seen::default()))
}

async fn seen(session: &Session) -> Result<Json<Seen>, Error> {
    let id = session.id().await?.map(|id| id.to_string());
    Ok(Json(Seen { user: session.principal().await?, letter: session.get(LETTER).await?, id, refused: None }))
}
