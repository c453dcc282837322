//! Extractors: the token for pages, and a check for a single handler.

use axum_core::body::Body;
use axum_core::extract::{FromRequest, FromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;

use super::layer::Policy;
use super::rejection::CsrfRejection;
use super::token::CsrfToken;
use crate::session::Session;

impl<S: Sync> FromRequestParts<S> for CsrfToken {
    type Rejection = CsrfRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<CsrfToken, CsrfRejection> {
        let session = Session::from_request_parts(parts, state).await.map_err(CsrfRejection::NoSession)?;
        Ok(session.csrf_token().await?)
    }
}

/// An extractor that rejects forged requests before another extractor runs (Pylons' `authenticate_form`): for one
/// handler. For a whole site use [`CsrfLayer`](crate::CsrfLayer).
///
/// ```
/// use ampoule::AuthenticateForm;
/// use axum::Form;
///
/// #[derive(serde::Deserialize)]
/// struct Transfer { to: String, amount: u32 }
///
/// async fn transfer(AuthenticateForm(Form(transfer)): AuthenticateForm<Form<Transfer>>) -> String {
///     format!("{} goes to {}", transfer.amount, transfer.to)
/// }
/// ```
///
/// The form's token is removed from an urlencoded body before the inner extractor reads it.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticateForm<E>(pub E);

impl<S: Sync, E: FromRequest<S>> FromRequest<S> for AuthenticateForm<E> {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Response> {
        let request = Policy::default().check(request).await.map_err(IntoResponse::into_response)?;
        E::from_request(request, state).await.map(AuthenticateForm).map_err(IntoResponse::into_response)
    }
}
