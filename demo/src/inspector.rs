//! All that the session holds. Reading it here neither writes it nor keeps it alive longer than any other page.

use ampoule::{Error, Session, Time};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use minijinja::{Value, context};

use crate::page::{Answer, Site};

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(show)).route("/restart", post(restart))
}

async fn show(State(site): State<Site>, session: Session) -> Answer {
    let entries = entries(&session).await?;
    let facts = context! {
        is_new => session.is_new().await?,
        id => session.id().await?.map(|id| id.to_string()),
        created => moment(session.created().await?),
        last_accessed => session.last_accessed().await?.map(moment),
        expires => moment(session.expires().await?),
        principal => session.principal().await?,
    };
    site.page(&session, "inspector", context! { entries, facts }).await
}

/// The values as JSON, whatever their types: they are stored self-describing.
async fn entries(session: &Session) -> Result<Vec<Value>, Error> {
    let mut entries = Vec::new();
    for key in session.keys().await? {
        let value: Option<serde_json::Value> = session.get(&key).await?;
        entries.push(context! { key, value => value.unwrap_or_default().to_string() });
    }
    Ok(entries)
}

async fn restart(State(site): State<Site>, session: Session) -> Answer {
    session.invalidate().await?;
    Ok(site.back_to("inspector"))
}

/// `2026-11-23 05:44:51 UTC`
fn moment(time: Time) -> String {
    let seconds = i64::try_from(time.as_millis() / 1_000).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
