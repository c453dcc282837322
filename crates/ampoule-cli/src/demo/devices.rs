//! The user's sessions, shown as devices, and the buttons that end them.

use ampoule::{Error, ErrorKind, Key, SessionId, SessionInfo};
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::routing::post;
use axum::{Form, Router};
use minijinja::{Value, context};
use serde::Deserialize;

use super::frame::Site;
use super::page::{Page, PageResult};

const BROWSER: Key<String> = Key::new("browser");

/// The maximum number of sessions that are shown; further ones are counted.
const MAX_SHOWN: usize = 10;

/// Browsers by a part of their User-Agent, the more specific first, since most browsers also name others.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("HeadlessChrome/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
];

const SYSTEMS: [(&str, &str); 9] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
];

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/elsewhere", post(sign_out_elsewhere)).route("/device", post(sign_out_device))
}

/// Stores the User-Agent in the session of a login.
pub(crate) fn note_browser(page: &Page, headers: &HeaderMap) -> Result<(), Error> {
    let browser = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    page.session.insert(BROWSER, browser.chars().take(200).collect::<String>())
}

/// The user's sessions on all devices; empty if sessions are kept in cookies, which the server cannot list.
pub(crate) async fn list(page: &Page) -> Result<Value, Error> {
    let sessions = match page.session.sessions().await {
        Err(error) if error.kind() == ErrorKind::Invalid => Vec::new(),
        sessions => sessions?,
    };
    let (count, more) = (sessions.len(), sessions.len().saturating_sub(MAX_SHOWN));
    // The current session is always shown.
    let (own, others): (Vec<SessionInfo>, _) = sessions.into_iter().partition(SessionInfo::is_current);
    let cards: Result<Vec<Value>, Error> =
        own.iter().chain(&others).take(MAX_SHOWN).map(|info| card(page, info)).collect();
    Ok(context! { cards => cards?, count, more })
}

fn card(page: &Page, info: &SessionInfo) -> Result<Value, Error> {
    let browser = info.get(BROWSER)?.unwrap_or_default();
    Ok(context! {
        id => info.id().to_string(), name => name(page, &browser), is_current => info.is_current(),
        login => info.authenticated_at().map(|time| page.frame.ago(time)),
        used => page.frame.ago(info.last_accessed()),
    })
}

fn name(page: &Page, browser: &str) -> String {
    match (find(&BROWSERS, browser), find(&SYSTEMS, browser)) {
        (Some(browser), Some(system)) => page.text("device", [("browser", browser.into()), ("system", system.into())]),
        (Some(known), None) | (None, Some(known)) => known.to_owned(),
        (None, None) => page.text("device-unknown", []),
    }
}

fn find(names: &[(&'static str, &'static str)], browser: &str) -> Option<&'static str> {
    names.iter().find(|(mark, _)| browser.contains(mark)).map(|(_, name)| *name)
}

async fn sign_out_elsewhere(page: Page) -> PageResult {
    let count = page.session.revoke_others().await?;
    page.flash.success(page.text("flash-elsewhere", [("count", count.into())]))?;
    page.session.save().await?;
    page.back_to("home")
}

#[derive(Deserialize)]
struct Device {
    id: String,
}

/// `revoke` ends only sessions of the same user.
async fn sign_out_device(page: Page, Form(device): Form<Device>) -> PageResult {
    let has_ended = match SessionId::parse(&device.id) {
        Some(id) => page.session.revoke(id).await?,
        None => false,
    };
    page.flash.success(page.text("flash-elsewhere", [("count", usize::from(has_ended).into())]))?;
    page.session.save().await?;
    page.back_to("home")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_map_to_common_names() {
        for (user_agent, browser, system) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", "Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
                "Chrome",
                "Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
                "Safari",
                "iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
                "Safari",
                "Mac",
            ),
        ] {
            assert_eq!((find(&BROWSERS, user_agent), find(&SYSTEMS, user_agent)), (Some(browser), Some(system)));
        }
        assert_eq!((find(&BROWSERS, "curl/8.14.1"), find(&SYSTEMS, "curl/8.14.1")), (Some("curl"), None));
        assert_eq!((find(&BROWSERS, ""), find(&SYSTEMS, "bot")), (None, None));
    }
}
