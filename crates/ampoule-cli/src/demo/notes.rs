//! A list in the session, shared by all tabs. Concurrent additions are all kept.

use ampoule::Key;
use axum::routing::{get, post};
use axum::{Form, Router};
use minijinja::context;
use serde::Deserialize;

use super::frame::Site;
use super::page::{Page, PageResult};

const NOTES: Key<Vec<String>> = Key::new("notes");

/// The maximum number of notes: each request that uses a session reads all of it, so its lists must be bounded.
const MAX_NOTES: usize = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(list).post(add)).route("/remove", post(remove))
}

async fn list(page: Page) -> PageResult {
    let notes = page.session.get(NOTES).await?.unwrap_or_default();
    page.show("notes", context! { notes, max_notes => MAX_NOTES }).await
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn add(page: Page, Form(note): Form<Note>) -> PageResult {
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

/// Removes a note by its text, not its index, which another tab may have changed.
async fn remove(page: Page, Form(note): Form<Note>) -> PageResult {
    let take = move |notes: &mut Vec<String>| {
        if let Some(index) = notes.iter().position(|text| *text == note.text) {
            notes.remove(index);
        }
    };
    page.session.update(NOTES, take).await?;
    page.flash.success(page.text("flash-note-removed", []))?;
    page.session.save().await?;
    page.back_to("notes")
}
