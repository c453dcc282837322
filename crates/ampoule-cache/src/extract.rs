//! The axum extractor of the caches.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::manager::CacheManager;

/// The rejection of a handler that takes a cache although its route is outside the layer that places it.
///
/// As a response it is a 500 whose text tells the developer what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingCacheLayer;

impl std::fmt::Display for MissingCacheLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this handler takes a CacheManager, but no CacheLayer is around its route: add .layer(CacheLayer::new(manager)) after the route")
    }
}

impl std::error::Error for MissingCacheLayer {}

impl IntoResponse for MissingCacheLayer {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for CacheManager {
    type Rejection = MissingCacheLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CacheManager, MissingCacheLayer> {
        parts.extensions.get().cloned().ok_or(MissingCacheLayer)
    }
}
