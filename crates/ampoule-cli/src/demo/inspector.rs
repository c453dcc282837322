//! All that the session holds. Reading it here neither writes it nor keeps it alive longer than any other page.

use ampoule::{Error, Session};
use axum::Router;
use axum::routing::{get, post};
use minijinja::{Value, context};

use super::page::{Answer, Page, Site, moment};

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(show)).route("/restart", post(restart))
}

async fn show(page: Page) -> Answer {
    let session = &page.session;
    let entries = entries(session).await?;
    let facts = context! {
        is_new => session.is_new().await?,
        id => session.id().await?.map(|id| id.to_string()),
        created => moment(session.created().await?),
        last_accessed => session.last_accessed().await?.map(moment),
        expires => moment(session.expires().await?),
        principal => session.principal().await?,
    };
    let values = context! { entries, facts };
    if session.is_new().await? {
        page.show_plain("inspector", values).await
    } else {
        page.show("inspector", values).await
    }
}

/// The values as JSON, whatever their types: they are stored self-describing. Those with a `_` are Ampoule's own.
async fn entries(session: &Session) -> Result<Vec<Value>, Error> {
    let mut entries = Vec::new();
    for key in session.keys().await?.into_iter().filter(|key| !key.starts_with('_')) {
        let value: Option<serde_json::Value> = session.get(&key).await?;
        entries.push(context! { key, value => value.unwrap_or_default().to_string() });
    }
    Ok(entries)
}

async fn restart(page: Page) -> Answer {
    page.session.invalidate().await?;
    page.back_to("inspector")
}
