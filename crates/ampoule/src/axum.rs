//! Extractors and responses for axum.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::flash::Flash;
use crate::session::Session;
use crate::session::read_only::ReadOnly;
use crate::session::typed::{SessionData, Typed};

/// The rejection of a handler that takes a session although its route is outside the
/// [`SessionLayer`](crate::SessionLayer).
///
/// As a response it is a 500 whose text tells the developer what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingLayer;

impl std::fmt::Display for MissingLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this handler takes a Session, but no SessionLayer is around its route: add .layer(sessions) after the route")
    }
}

impl std::error::Error for MissingLayer {}

impl IntoResponse for MissingLayer {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Session, MissingLayer> {
        parts.extensions.get().cloned().ok_or(MissingLayer)
    }
}

impl<S: Sync> FromRequestParts<S> for ReadOnly {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ReadOnly, MissingLayer> {
        Session::from_request_parts(parts, state).await.map(|session| session.read_only())
    }
}

impl<S: Sync, T: SessionData> FromRequestParts<S> for Typed<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Typed<T>, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        Typed::of(&session).await.map_err(IntoResponse::into_response)
    }
}

impl<S: Sync> FromRequestParts<S> for Flash {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Flash, MissingLayer> {
        Session::from_request_parts(parts, state).await.map(|session| Flash::of(&session))
    }
}
