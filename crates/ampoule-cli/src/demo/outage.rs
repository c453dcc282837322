//! Simulates an outage of the store for ten seconds, for one visitor.

use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use minijinja::context;
use serde::Deserialize;

use super::frame::Site;
use super::instruments::{OUTAGE_DURATION, Outage, Policy};
use super::page::{Page, PageResult};

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/outage", get(show).post(begin))
}

async fn show(page: Page, headers: HeaderMap) -> PageResult {
    let Some(outage) = Outage::of(&headers) else {
        let visits: Option<u64> = page.session.get("visits").await?;
        let facts =
            context! { visits, seconds => OUTAGE_DURATION.as_secs(), is_possible => page.instruments.is_some() };
        return page.show("outage", facts).await;
    };
    Ok(during(&page, outage).await)
}

/// Shows the result of reading the session during the outage.
async fn during(page: &Page, outage: Outage) -> Response {
    let found = page.session.get::<u64>("visits").await;
    let error = found
        .as_ref()
        .err()
        .map(|error| context! { kind => error.kind().name(), status => error.kind().for_client().0 });
    let is_unreachable = page.session.is_unreachable().await.unwrap_or(true);
    let (policy, seconds) = (outage.policy.name(), OUTAGE_DURATION.as_secs());
    page.frame.render("outage", context! { left => outage.left, policy, seconds, error, is_unreachable })
}

#[derive(Deserialize)]
struct Choice {
    policy: String,
}

async fn begin(page: Page, Form(choice): Form<Choice>) -> PageResult {
    let mut response = page.back_to_page("/outage")?;
    if let Some(policy) = Policy::parse(&choice.policy).filter(|_| page.instruments.is_some()) {
        response.headers_mut().append(SET_COOKIE, policy.cookie());
    }
    Ok(response)
}
