//! Sends 64 concurrent requests that change one session: once with `update`, once with a naive read, change and write.
//!
//! The server makes the requests itself, without the network, but each has the visitor's cookie and passes the layer
//! around the site. Each loads the session, waits, changes it and saves it.

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
use super::instruments::Instruments;
use super::page::{Page, PageResult};

/// The number of concurrent requests of each kind.
const RUNNERS: u8 = 64;

/// The time that a handler takes between load and save, such as for a query of a database.
const WORK_DURATION: Duration = Duration::from_millis(20);

/// The time limit for a race, which normally takes a fraction of a second; a store may hang.
const RACE_TIMEOUT: Duration = Duration::from_secs(10);

const UPDATED: Key<Vec<u8>> = Key::new("race updated");
const OVERWRITTEN: Key<Vec<u8>> = Key::new("race overwritten");
const RACE: Key<Race> = Key::new("race");

/// The requests whose change was kept, of each kind: a bit for each request.
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
    Ok(
        context! { is_possible => page.instruments.is_some(), is_run, runners => RUNNERS, updated, overwritten, milliseconds },
    )
}

fn runners(bits: u64) -> Vec<u8> {
    (0..RUNNERS).filter(|runner| bits >> runner & 1 == 1).collect()
}

fn bits(runners: Option<Vec<u8>>) -> u64 {
    runners.unwrap_or_default().into_iter().fold(0, |bits, runner| bits | 1 << (runner % RUNNERS))
}

async fn start(page: Page, headers: HeaderMap) -> PageResult {
    let Some(instruments) = &page.instruments else { return page.back_to("home") };
    let Some(_permit) = instruments.permit(page.session.id().await?).await else { return page.busy("/").await };
    page.session.insert(UPDATED, Vec::new())?;
    page.session.insert(OVERWRITTEN, Vec::new())?;
    page.session.save().await?;
    let began = Instant::now();
    let _ = tokio::time::timeout(RACE_TIMEOUT, run(instruments, &headers)).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    page.session.reload().await?;
    let (updated, overwritten) =
        (bits(page.session.remove(UPDATED).await?), bits(page.session.remove(OVERWRITTEN).await?));
    page.session.insert(RACE, Race { updated, overwritten, milliseconds })?;
    page.session.save().await?;
    page.back_to_page("/#race")
}

/// Sends all requests and waits for the responses.
async fn run(instruments: &Instruments, headers: &HeaderMap) {
    let lanes = Router::new()
        .route("/update/{runner}", get(update))
        .route("/overwrite/{runner}", get(overwrite))
        .layer(instruments.sessions().clone());
    let mut requests = JoinSet::new();
    for runner in 0..RUNNERS {
        for lane in ["update", "overwrite"] {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = format!("/{lane}/{runner}").parse().expect("the path is valid");
            let cookies = headers.get_all(COOKIE).iter();
            request.headers_mut().extend(cookies.map(|cookie| (COOKIE, cookie.clone())));
            requests.spawn(lanes.clone().oneshot(request));
        }
    }
    requests.join_all().await;
}

async fn update(session: Session, Path(runner): Path<u8>) -> Result<(), Error> {
    session.update(UPDATED, move |kept: &mut Vec<u8>| kept.push(runner)).await?;
    tokio::time::sleep(WORK_DURATION).await;
    session.save().await
}

/// Reads the list, changes it and writes it back, which overwrites concurrent changes.
async fn overwrite(session: Session, Path(runner): Path<u8>) -> Result<(), Error> {
    let mut kept = session.get(OVERWRITTEN).await?.unwrap_or_default();
    tokio::time::sleep(WORK_DURATION).await;
    kept.push(runner);
    session.insert(OVERWRITTEN, kept)?;
    session.save().await
}
