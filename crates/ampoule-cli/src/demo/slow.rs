//! A slow page that is cached for all visitors.

use std::time::{Duration, Instant};

use ampoule::Time;
use ampoule::cache::{CacheManager, cached};
use axum::Router;
use axum::routing::{get, post};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::frame::Site;
use super::page::{Page, PageResult};

/// The time that creating the report takes.
const REPORT_DURATION: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/slow", get(show)).route("/slow/clear", post(clear))
}

/// The content of the page, the same for all visitors.
#[derive(Clone, Serialize, Deserialize)]
struct Report {
    /// The user for whom it was created, if logged in.
    by: Option<String>,
    made: u64,
    process: u32,
}

/// Creates the report. Concurrent requests wait for the same report; later ones get it from the cache.
#[cached(key = "report", namespace = "demo", tags = ["slow"])]
async fn report(caches: &CacheManager, by: Option<String>) -> Report {
    tokio::time::sleep(REPORT_DURATION).await;
    let made = Time::from(std::time::SystemTime::now()).as_millis();
    Report { by, made, process: std::process::id() }
}

async fn show(caches: CacheManager, page: Page) -> PageResult {
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

async fn clear(caches: CacheManager, page: Page) -> PageResult {
    caches.invalidate_tag("slow").await?;
    page.flash.success(page.text("flash-cache-cleared", []))?;
    page.session.save().await?;
    page.back_to_page("/slow")
}
