//! A list in the session: what one tab adds, another sees, and two at once lose nothing.

use ampoule::Key;
use axum::routing::{get, post};
use axum::{Form, Router};
use minijinja::context;
use serde::Deserialize;

use super::frame::Site;
use super::page::{Answer, Page};

const NOTES: Key<Vec<String>> = Key::new("notes");

/// A session is read whole by each request that uses it, so a list in it has an end.
const MAX_NOTES: usize = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(list).post(add)).route("/remove", post(remove))
}

async fn list(page: Page) -> Answer {
    let notes = page.session.get(NOTES).await?.unwrap_or_default();
    page.show("notes", context! { notes, most => MAX_NOTES }).await
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn add(page: Page, Form(note): Form<Note>) -> Answer {
    let text: String = note.text.trim().chars().take(200).collect();
    if text.is_empty() {
        page.flash.error(page.text("flash-blank-note", []))?;
    } else {
        let push = move |notes: &mut Vec<String>| {
            if notes.len() < MAX_NOTES {
                notes.push(text.clone());
            }
        };
        page.session.update(NOTES, push).await?;
        page.flash.success(page.text("flash-note-added", []))?;
    }
    page.session.save().await?;
    page.back_to("notes")
}

/// By its text, not its place: another tab may have moved the others.
async fn remove(page: Page, Form(note): Form<Note>) -> Answer {
    let take = move |notes: &mut Vec<String>| {
        if let Some(place) = notes.iter().position(|text| *text == note.text) {
            notes.remove(place);
        }
    };
    page.session.update(NOTES, take).await?;
    page.flash.success(page.text("flash-note-removed", []))?;
    page.session.save().await?;
    page.back_to("notes")
}
