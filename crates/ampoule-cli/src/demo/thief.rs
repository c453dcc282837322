//! Simulates a thief with copied cookies, and shows the server's answers.
//!
//! The server plays a victim, whose sessions exist only for the simulation, and the thief. Their requests pass the
//! layer around the site. A second button makes the first attempt with the visitor's own cookie, which is copied for
//! that one request, and never stored or shown.

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
use super::instruments::Instruments;
use super::page::{Page, PageResult};

const ATTEMPTS: Key<Vec<Attempt>> = Key::new("thief");
const LETTER: Key<String> = Key::new("letter");

/// An attempt of the thief, and its result.
#[derive(Clone, Serialize, Deserialize)]
struct Attempt {
    /// The name of the attempt, which selects its texts: `copy`, `early`, `late`, `two`, `mine`.
    what: String,
    /// The user as whom the server accepted the thief, if any.
    user: Option<String>,
    /// Whether the thief could read what the victim wrote after the login.
    has_read: bool,
    /// The error of the thief's attempt to save.
    refused: Option<String>,
    /// The event that the server logged.
    event: Option<String>,
}

/// The session of a request, as the server sees it.
#[derive(Default, Serialize, Deserialize)]
struct Observed {
    user: Option<String>,
    letter: Option<String>,
    id: Option<String>,
    refused: Option<String>,
}

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/thief", get(show)).route("/thief/try", post(try_all)).route("/thief/mine", post(try_mine))
}

async fn show(page: Page) -> PageResult {
    let attempts = page.session.get(ATTEMPTS).await?.unwrap_or_default();
    page.show("thief", context! { attempts => Value::from(Serde(attempts)), is_possible => page.instruments.is_some() })
        .await
}

async fn try_all(page: Page) -> PageResult {
    let Some(instruments) = &page.instruments else { return page.back_to_page("/thief") };
    let Some(_permit) = instruments.permit(page.session.id().await?).await else { return page.busy("/thief").await };
    let attempts = simulate(instruments).await?;
    page.session.insert(ATTEMPTS, attempts)?;
    page.session.save().await?;
    page.back_to_page("/thief#attempts")
}

/// Makes the attempt with the visitor's own cookie, after logging the visitor out.
async fn try_mine(mut page: Page, headers: HeaderMap) -> PageResult {
    let Some(instruments) = page.instruments.clone() else { return page.back_to_page("/thief") };
    let id = page.session.id().await?;
    let Some(_permit) = instruments.permit(id).await else { return page.busy("/thief").await };
    let copy = Browser { cookies: headers.get_all(COOKIE).iter().cloned().collect(), ..Browser::new(&instruments) };
    page.session.logout().await?;
    let attempt = attempt("mine", copy, id).await?;
    let lang = page.frame.language.tag();
    page.frame.language.set_lang(&page.session, &lang)?;
    page.session.insert(ATTEMPTS, vec![attempt])?;
    page.flash.notice(page.text("flash-goodbye", []))?;
    page.session.save().await?;
    page.back_to_page("/thief#attempts")
}

/// Makes all attempts on a victim who visits, logs in and logs out.
async fn simulate(instruments: &Instruments) -> Result<Vec<Attempt>, Error> {
    let (mut victim, mut thief) = (Browser::new(instruments), Browser::new(instruments));
    let visitor = victim.open("/visit").await?.id();
    let before_login = victim.clone();
    victim.open("/login").await?;
    let early = attempt("early", before_login.clone(), visitor).await?;
    // The first request with the cookie of the login ends the session from before it.
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

/// Makes an attempt with a copy of the cookies of the session with this id.
async fn attempt(what: &str, mut copy: Browser, id: Option<SessionId>) -> Result<Attempt, Error> {
    // The cookies of two live sessions are both ignored, so saving would create a new session.
    let seen = copy.open(if what == "two" { "/" } else { "/write" }).await?;
    let event = id.and_then(|id| copy.instruments.last_event_of(id)).map(EventKind::name);
    // Only events that the attempt causes, not the creation or the end of the victim's session.
    let event = event.filter(|event| ["expired", "replayed", "conflicting"].contains(event)).map(str::to_owned);
    let (has_read, refused) = (seen.letter.is_some(), seen.refused);
    Ok(Attempt { what: what.to_owned(), user: seen.user, has_read, refused, event })
}

/// A client with cookies: the victim or the thief.
#[derive(Clone)]
struct Browser {
    instruments: Instruments,
    site: Router,
    cookies: Vec<HeaderValue>,
}

impl Observed {
    fn id(&self) -> Option<SessionId> {
        SessionId::parse(self.id.as_deref()?)
    }
}

impl Browser {
    fn new(instruments: &Instruments) -> Browser {
        let site = Router::new()
            .route("/", get(read))
            .route("/write", get(write))
            .route("/visit", get(visit))
            .route("/login", get(login))
            .route("/logout", get(logout))
            .layer(instruments.sessions().clone());
        Browser { instruments: instruments.clone(), site, cookies: Vec::new() }
    }

    /// Sends a request with the cookies, stores those of the response, and returns what the server saw.
    async fn open(&mut self, path: &'static str) -> Result<Observed, Error> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().expect("the path is valid");
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

async fn read(session: Session) -> Result<Json<Observed>, Error> {
    observe(&session).await
}

/// Reads the session, and tries to save a change.
async fn write(session: Session) -> Result<Json<Observed>, Error> {
    let Json(seen) = observe(&session).await?;
    session.insert("thief", "was here")?;
    let saved = session.save().await;
    Ok(Json(Observed { refused: saved.err().map(|error| error.kind().name().to_owned()), ..seen }))
}

async fn visit(session: Session) -> Result<Json<Observed>, Error> {
    session.insert("visits", 1)?;
    session.save().await?;
    observe(&session).await
}

/// Logs in as a unique user, so that the simulation cannot affect a visitor's sessions.
async fn login(session: Session) -> Result<Json<Observed>, Error> {
    let id = session.id().await?.map(|id| id.to_string()).unwrap_or_default();
    session.login(&format!("simulated victim {id}")).await?;
    session.insert(LETTER, "written after the login".to_owned())?;
    session.save().await?;
    observe(&session).await
}

async fn logout(session: Session) -> Result<Json<Observed>, Error> {
    session.logout().await?;
    Ok(Json(Observed::default()))
}

async fn observe(session: &Session) -> Result<Json<Observed>, Error> {
    let id = session.id().await?.map(|id| id.to_string());
    Ok(Json(Observed { user: session.principal().await?, letter: session.get(LETTER).await?, id, refused: None }))
}
