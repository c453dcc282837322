//! Login, logout, a counter of visits, the language, and where else its user is logged in.

use std::time::Duration;

use ampoule::{Error, ErrorKind, Key, SessionId};
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::routing::{get, post};
use axum::{Form, Router};
use minijinja::{Value, context};
use serde::Deserialize;

use super::page::{Answer, Page, Site, moment};

const USER: Key<String> = Key::new("user");
const VISITS: Key<u64> = Key::new("visits");
const BROWSER: Key<String> = Key::new("browser");
const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/elsewhere", post(sign_out_elsewhere))
        .route("/device", post(sign_out_device))
        .route("/lang", post(set_lang))
        .route("/private", get(private))
        .route("/boom", get(boom))
}

async fn index(page: Page) -> Answer {
    let visits = page.session.update(VISITS, |visits| *visits += 1).await?;
    page.session.save().await?;
    page.show("home", context! { visits, devices => devices(&page).await? }).await
}

/// The user's sessions, wherever they are; those in cookies are not known to the server.
async fn devices(page: &Page) -> Result<Vec<Value>, Error> {
    let sessions = match page.session.sessions().await {
        Err(error) if error.kind() == ErrorKind::Invalid => return Ok(Vec::new()),
        sessions => sessions?,
    };
    let device = |info: ampoule::SessionInfo| {
        let browser = info.get::<String>("browser")?.unwrap_or_default();
        Ok(context! {
            id => info.id().to_string(), browser, is_current => info.is_current(),
            login => info.authenticated_at().map(moment), used => moment(info.last_accessed()),
        })
    };
    sessions.into_iter().map(device).collect()
}

#[derive(Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
}

async fn login(page: Page, headers: HeaderMap, Form(form): Form<Login>) -> Answer {
    let name: String = form.name.trim().chars().take(40).collect();
    if !name.is_empty() {
        // A real site checks a password here. The login has a token of its own: the one from before opens nothing of it.
        page.session.login(&name).await?;
        page.session.insert(USER, &name)?;
        let browser = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        page.session.insert(BROWSER, browser.chars().take(120).collect::<String>())?;
        if form.remember.is_some() {
            page.session.set_timeout(30 * DAY)?;
        }
        page.flash.success(page.text("flash-welcome", [("user", name.into())]))?;
        page.session.save().await?;
    }
    page.back_to("home")
}

/// The message goes into a new session, with the language; nothing else of the old one lives on.
async fn logout(mut page: Page) -> Answer {
    page.session.logout().await?;
    let lang = page.language.tag();
    page.language.set_lang(&page.session, &lang)?;
    page.flash.notice(page.text("flash-goodbye", []))?;
    page.session.save().await?;
    page.back_to("home")
}

async fn sign_out_elsewhere(page: Page) -> Answer {
    let count = page.session.revoke_others().await?;
    page.flash.success(page.text("flash-elsewhere", [("count", count.into())]))?;
    page.session.save().await?;
    page.back_to("home")
}

#[derive(Deserialize)]
struct Device {
    id: String,
}

/// The id of another's session ends nothing.
async fn sign_out_device(page: Page, Form(device): Form<Device>) -> Answer {
    let has_ended = match SessionId::parse(&device.id) {
        Some(id) => page.session.revoke(id).await?,
        None => false,
    };
    page.flash.success(page.text("flash-elsewhere", [("count", usize::from(has_ended).into())]))?;
    page.session.save().await?;
    page.back_to("home")
}

#[derive(Deserialize)]
struct Choice {
    lang: String,
}

async fn set_lang(mut page: Page, Form(choice): Form<Choice>) -> Answer {
    match page.language.set_lang(&page.session, &choice.lang) {
        Ok(()) => page.flash.notice(page.text("flash-language", []))?,
        Err(unknown) => page.flash.error(unknown.to_string())?,
    }
    page.session.save().await?;
    page.back_to("home")
}

async fn private(page: Page) -> Answer {
    page.session.require_login().await?;
    page.show_plain("private", context! {}).await
}

/// What a page does in which something was not foreseen.
async fn boom() -> Answer {
    panic!("this page always fails, to show what happens then")
}
