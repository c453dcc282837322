//! The page for what went wrong, in place of a bare status.

use ampoule::FailedRequest;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use minijinja::context;

use super::page::{Answer, Page};

/// Where it stands in each app.
pub(crate) const PAGE: &str = "/error/document";

pub(crate) async fn show(failed: Option<FailedRequest>, page: Page) -> Answer {
    let Some(FailedRequest { status, text, error_number, .. }) = failed else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let status = status.as_u16();
    page.show_plain("error", context! { status, text, number => error_number }).await
}
