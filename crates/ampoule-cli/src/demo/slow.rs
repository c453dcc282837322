//! A page that takes long to make, and is made once for all.

use std::time::{Duration, Instant};

use ampoule::Time;
use ampoule::cache::{CacheManager, cached};
use axum::Router;
use axum::routing::{get, post};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::frame::Site;
use super::page::{Answer, Page};

/// How long making the report takes.
const TAKES: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/slow", get(show)).route("/slow/clear", post(clear))
}

/// What everybody sees.
#[derive(Clone, Serialize, Deserialize)]
struct Report {
    /// The user it was made for, if there was one.
    by: Option<String>,
    made: u64,
    process: u32,
}

/// The first request waits while it is made; those that come meanwhile wait with it, and later ones do not wait.
#[cached(key = "report", namespace = "demo", tags = ["slow"])]
async fn report(caches: &CacheManager, by: Option<String>) -> Report {
    tokio::time::sleep(TAKES).await;
    let made = Time::from(std::time::SystemTime::now()).as_millis();
    Report { by, made, process: std::process::id() }
}

async fn show(caches: CacheManager, page: Page) -> Answer {
    let by = page.session.get("user").await?;
    let started = Instant::now();
    let report = report(&caches, by).await;
    let waited = started.elapsed().as_millis();
    let stats = caches.cache::<Report>("demo").stats();
    let made = page.frame.at(Time::from_millis(report.made));
    let values = context! {
        made, waited => u64::try_from(waited).unwrap_or(u64::MAX), by => report.by, process => report.process,
        hits => stats.hits, waits => stats.waits, creations => stats.creations, place => caches.describe(),
    };
    page.show("slow", values).await
}

async fn clear(caches: CacheManager, page: Page) -> Answer {
    caches.invalidate_tag("slow").await?;
    page.flash.success(page.text("flash-cache-cleared", []))?;
    page.session.save().await?;
    page.back_to_page("/slow")
}
