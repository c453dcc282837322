//! Sixty-four requests at once into one session, and the same once more as code does it that knows no better.
//!
//! The server makes them itself: not over the network, but each is a request of its own with the visitor's cookie, and
//! passes the layer that is around the site. Each loads the session, takes its time, changes it and saves it.

use std::time::{Duration, Instant};

use ampoule::{Error, Key, Session};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Request};
use axum::routing::{get, post};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::frame::Site;
use super::lab::Lab;
use super::page::{Answer, Page};

/// How many requests run at once.
const RUNNERS: u8 = 64;

/// What a handler does between its load and its save, such as asking a database.
const WORK: Duration = Duration::from_millis(20);

/// A race takes a fraction of a second; one whose store hangs is given up.
const LIMIT: Duration = Duration::from_secs(10);

const UPDATED: Key<Vec<u8>> = Key::new("race updated");
const OVERWRITTEN: Key<Vec<u8>> = Key::new("race overwritten");
const RACE: Key<Race> = Key::new("race");

/// Whose change survived, of each kind: a bit for each request.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Race {
    updated: u64,
    overwritten: u64,
    milliseconds: u64,
}

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/race", post(start))
}

/// The last race of this session, for the first page.
pub(crate) async fn last(page: &Page) -> Result<Value, Error> {
    let race = page.session.get(RACE).await?;
    let is_run = race.is_some();
    let Race { updated, overwritten, milliseconds } = race.unwrap_or_default();
    let (updated, overwritten) = (runners(updated), runners(overwritten));
    Ok(context! { is_possible => page.lab.is_some(), is_run, runners => RUNNERS, updated, overwritten, milliseconds })
}

fn runners(bits: u64) -> Vec<u8> {
    (0..RUNNERS).filter(|runner| bits >> runner & 1 == 1).collect()
}

fn bits(runners: Option<Vec<u8>>) -> u64 {
    runners.unwrap_or_default().into_iter().fold(0, |bits, runner| bits | 1 << (runner % RUNNERS))
}

async fn start(page: Page, headers: HeaderMap) -> Answer {
    let Some(lab) = &page.lab else { return page.back_to("home") };
    let Some(_permit) = lab.permit(page.session.id().await?).await else { return page.busy("/").await };
    page.session.insert(UPDATED, Vec::new())?;
    page.session.insert(OVERWRITTEN, Vec::new())?;
    page.session.save().await?;
    let began = Instant::now();
    let _ = tokio::time::timeout(LIMIT, run(lab, &headers)).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    page.session.reload().await?;
    let (updated, overwritten) =
        (bits(page.session.remove(UPDATED).await?), bits(page.session.remove(OVERWRITTEN).await?));
    page.session.insert(RACE, Race { updated, overwritten, milliseconds })?;
    page.session.save().await?;
    page.back_to_page("/#race")
}

/// Sends all requests, and waits for all answers.
async fn run(lab: &Lab, headers: &HeaderMap) {
    let lanes = Router::new()
        .route("/update/{runner}", get(update))
        .route("/overwrite/{runner}", get(overwrite))
        .layer(lab.sessions().clone());
    let mut requests = JoinSet::new();
    for runner in 0..RUNNERS {
        for lane in ["update", "overwrite"] {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = format!("/{lane}/{runner}").parse().expect("a path of ours is one");
            let cookies = headers.get_all(COOKIE).iter();
            request.headers_mut().extend(cookies.map(|cookie| (COOKIE, cookie.clone())));
            requests.spawn(lanes.clone().oneshot(request));
        }
    }
    requests.join_all().await;
}

async fn update(session: Session, Path(runner): Path<u8>) -> Result<(), Error> {
    session.update(UPDATED, move |kept: &mut Vec<u8>| kept.push(runner)).await?;
    tokio::time::sleep(WORK).await;
    session.save().await
}

/// Reads, changes, and writes back what it has made of what it read.
async fn overwrite(session: Session, Path(runner): Path<u8>) -> Result<(), Error> {
    let mut kept = session.get(OVERWRITTEN).await?.unwrap_or_default();
    tokio::time::sleep(WORK).await;
    kept.push(runner);
    session.insert(OVERWRITTEN, kept)?;
    session.save().await
}
