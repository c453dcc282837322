//! The first page: the race, login and logout, a counter of visits, the user's devices, and the language.

use std::time::Duration;

use ampoule::Key;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minijinja::context;
use serde::Deserialize;

use super::frame::Site;
use super::page::{Page, PageResult};
use super::xray::REMEMBERED;
use super::{devices, race};

const USER: Key<String> = Key::new("user");
const VISITS: Key<u64> = Key::new("visits");
const REMEMBER_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3_600);

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/lang", post(set_lang))
        .route("/private", get(private))
        .route("/boom", get(boom))
}

async fn index(page: Page) -> PageResult {
    if page.session.is_unreachable().await? {
        return Ok(page.frame.render("home", context! { is_away => true }));
    }
    let visits = page.session.update(VISITS, |visits| *visits += 1).await?;
    page.session.save().await?;
    let (race, devices) = (race::last(&page).await?, devices::list(&page).await?);
    // With this name another device logs in as the same user.
    let principal = page.session.principal().await?.filter(|principal| principal.contains(TAG_SEPARATOR));
    page.show("home", context! { visits, race, devices, principal }).await
}

#[derive(Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
    next: Option<String>,
}

async fn login(page: Page, headers: HeaderMap, Form(form): Form<Login>) -> PageResult {
    let name: String = form.name.trim().chars().take(60).collect();
    let shown = name.split(TAG_SEPARATOR).next().unwrap_or_default().trim_end();
    if shown.is_empty() {
        page.flash.error(page.text("flash-blank-name", []))?;
        page.session.save().await?;
        return page.back_to_next(form.next);
    }
    // A real site checks a password here. The login gets a new token; the old one does not open it.
    page.session.login(&principal(&name, page.frame.site.debug)).await?;
    page.session.insert(USER, shown.to_owned())?;
    devices::note_browser(&page, &headers)?;
    if form.remember.is_some() {
        page.session.set_timeout(REMEMBER_TIMEOUT)?;
        page.session.insert(REMEMBERED, REMEMBER_TIMEOUT.as_secs())?;
    }
    page.flash.success(page.text("flash-welcome", [("user", shown.into())]))?;
    page.session.save().await?;
    page.back_to_next(form.next)
}

/// Separates a name from the random tag that makes it unique.
const TAG_SEPARATOR: char = '#';

/// The principal of a login. With debug it is the name. Without, a bare name becomes a new user with an unguessable
/// tag: otherwise visitors who enter the same name could sign out each other.
fn principal(name: &str, debug: bool) -> String {
    let has_tag = name.split_once(TAG_SEPARATOR).is_some_and(|(_, tag)| tag.len() >= 11);
    if debug || has_tag {
        return name.to_owned();
    }
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).expect("the operating system has random numbers");
    format!("{}{TAG_SEPARATOR}{}", name.replace(TAG_SEPARATOR, ""), URL_SAFE_NO_PAD.encode(tag))
}

/// Logs out. The message and the language go into a new session, nothing else of the old one.
async fn logout(mut page: Page) -> PageResult {
    page.session.logout().await?;
    let lang = page.frame.language.tag();
    page.frame.language.set_lang(&page.session, &lang)?;
    page.flash.notice(page.text("flash-goodbye", []))?;
    page.session.save().await?;
    page.back_to("home")
}

#[derive(Deserialize)]
struct Choice {
    lang: String,
    next: Option<String>,
}

async fn set_lang(mut page: Page, Form(choice): Form<Choice>) -> PageResult {
    match page.frame.language.set_lang(&page.session, &choice.lang) {
        Ok(()) => page.flash.notice(page.text("flash-language", []))?,
        Err(unknown) => page.flash.error(unknown.to_string())?,
    }
    page.session.save().await?;
    page.back_to_next(choice.next)
}

async fn private(page: Page) -> PageResult {
    page.session.require_login().await?;
    page.show_plain("private", context! {}).await
}

/// A handler with a bug.
async fn boom() -> PageResult {
    panic!("this page always fails, to show the error page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_debug_a_bare_name_becomes_a_new_user() {
        assert_eq!(principal("Ada", true), "Ada");
        let (one, other) = (principal("Ada", false), principal("Ada", false));
        assert!(one.starts_with("Ada#") && one != other, "{one} {other}");
        assert_eq!(principal(&one, false), one, "the user logs in elsewhere");
        assert_ne!(principal("Ada#1", false), "Ada#1", "a guessable tag must not be accepted");
        assert_ne!(principal("Ada#1", false), principal("Ada#1", false));
    }
}
