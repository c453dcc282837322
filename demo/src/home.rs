//! Login, logout, and a counter of visits.

use std::time::Duration;

use ampoule::{Key, Session};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Form, Router};
use minijinja::context;
use serde::Deserialize;

use crate::page::{Answer, Site};

const USER: Key<String> = Key::new("user");
const VISITS: Key<u64> = Key::new("visits");
const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(index)).route("/login", post(login)).route("/logout", post(logout))
}

async fn index(State(site): State<Site>, session: Session) -> Answer {
    let visits = session.update(VISITS, |visits| *visits += 1).await?;
    session.save().await?;
    site.page(&session, "home", context! { visits }).await
}

#[derive(Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
}

async fn login(State(site): State<Site>, session: Session, Form(form): Form<Login>) -> Answer {
    let name: String = form.name.trim().chars().take(40).collect();
    if !name.is_empty() {
        // A real site checks a password here. Whoever knew the id from before the login knows nothing after it.
        session.regenerate_id();
        session.set_principal(Some(&name))?;
        session.insert(USER, &name)?;
        if form.remember.is_some() {
            session.set_timeout(30 * DAY)?;
        }
        session.save().await?;
    }
    Ok(site.back_to("home"))
}

async fn logout(State(site): State<Site>, session: Session) -> Answer {
    session.delete().await?;
    Ok(site.back_to("home"))
}
