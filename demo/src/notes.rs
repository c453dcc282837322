//! A list in the session: what one tab adds, another sees, and two at once lose nothing.

use ampoule::{Key, Session};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Form, Router};
use minijinja::context;
use serde::Deserialize;

use crate::page::{Answer, Site};

const NOTES: Key<Vec<String>> = Key::new("notes");

/// A session is read whole by each request that uses it, so a list in it has an end.
const MOST: usize = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(list).post(add)).route("/remove", post(remove))
}

async fn list(State(site): State<Site>, session: Session) -> Answer {
    let notes = session.get(NOTES).await?.unwrap_or_default();
    site.page(&session, "notes", context! { notes, most => MOST }).await
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn add(State(site): State<Site>, session: Session, Form(note): Form<Note>) -> Answer {
    let text: String = note.text.trim().chars().take(200).collect();
    if !text.is_empty() {
        let push = move |notes: &mut Vec<String>| {
            if notes.len() < MOST {
                notes.push(text.clone());
            }
        };
        session.update(NOTES, push).await?;
        session.save().await?;
    }
    Ok(site.back_to("notes"))
}

/// By its text, not its place: another tab may have moved the others.
async fn remove(State(site): State<Site>, session: Session, Form(note): Form<Note>) -> Answer {
    let take = move |notes: &mut Vec<String>| {
        if let Some(place) = notes.iter().position(|text| *text == note.text) {
            notes.remove(place);
        }
    };
    session.update(NOTES, take).await?;
    session.save().await?;
    Ok(site.back_to("notes"))
}
