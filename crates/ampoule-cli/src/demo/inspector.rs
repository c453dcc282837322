//! Shows the content of the session. It reads the session as any page does: no write, no longer lifetime.

use ampoule::{Error, Session};
use axum::Router;
use axum::routing::{get, post};
use minijinja::{Value, context};

use super::frame::Site;
use super::page::{Page, PageResult};
use super::xray;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(show)).route("/restart", post(restart))
}

async fn show(page: Page) -> PageResult {
    let (session, frame) = (&page.session, &page.frame);
    let entries = entries(session).await?;
    let is_new = session.is_new().await?;
    let facts = context! {
        is_new,
        id => session.id().await?.map(|id| id.to_string()),
        created => frame.at(session.created().await?), created_ago => frame.ago(session.created().await?),
        used => session.last_accessed().await?.map(|time| frame.ago(time)),
        expires => frame.at(session.expires().await?), expires_in => frame.ago(session.expires().await?),
        principal => session.principal().await?,
    };
    let xray = match &page.instruments {
        Some(instruments) if !is_new => xray::values(instruments, session, frame).await?,
        _ => Value::UNDEFINED,
    };
    let values = context! { entries, facts, xray };
    if is_new { page.show_plain("inspector", values).await } else { page.show("inspector", values).await }
}

/// The values as JSON, which works for all types, since they are stored self-describing. Keys with a `_` are Ampoule's
/// own.
async fn entries(session: &Session) -> Result<Vec<Value>, Error> {
    let mut entries = Vec::new();
    for key in session.keys().await?.into_iter().filter(|key| !key.starts_with('_')) {
        let value: Option<serde_json::Value> = session.get(&key).await?;
        entries.push(context! { key, value => value.unwrap_or_default().to_string() });
    }
    Ok(entries)
}

async fn restart(page: Page) -> PageResult {
    page.session.invalidate().await?;
    page.back_to("inspector")
}
