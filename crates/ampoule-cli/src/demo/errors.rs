//! The error page. After a server error it is rendered without the session, whose store may be the cause.

use ampoule::{CsrfRejection, FailedRequest, Language, Session};
use axum::extract::{FromRequestParts, State};
use axum::http::header::{HOST, REFERER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use minijinja::Value;
use minijinja::context;
use minijinja::value::merge_maps;

use super::frame::{Frame, Site};
use super::instruments::Outage;
use super::page::with_forms;

/// The statuses with an error page. With debug, a 500 has the page with the details of the error instead.
pub(crate) const STATUSES: [u16; 11] = [400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503];

pub(crate) async fn show(State(site): State<Site>, mut parts: Parts) -> Response {
    let Some(failed) = parts.extensions.get::<FailedRequest>().cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if failed.status.is_server_error() {
        // The session may have failed, and its store may take as long to fail again.
        parts.extensions.remove::<Session>();
    }
    let user = user_of(&mut parts).await;
    let language = match Language::from_request_parts(&mut parts, &site).await {
        Ok(language) => language,
        Err(missing) => return missing.into_response(),
    };
    let session = parts.extensions.get::<Session>().cloned();
    parts.uri.clone_from(&failed.uri);
    parts.method.clone_from(&failed.method);
    let mut frame = Frame::new(&parts, site, language);
    let back = back(&parts.headers);
    if frame.here.is_empty() {
        frame.here = back.clone().unwrap_or_default();
    }
    let reason = reason(&failed);
    let facts = context! {
        status => failed.status.as_u16(), number => failed.error_number, reason, back,
        outage => Outage::of(&parts.headers).map(|outage| outage.left),
        // A login on this page returns to it.
        next => if reason == "login" { frame.here.clone() } else { String::new() },
    };
    let forms = match session {
        Some(session) => forms(&session, &frame, reason).await,
        None => context! {},
    };
    frame.render("error", merge_maps([forms, context! { user }, facts]))
}

/// The user's name, if the session can be loaded. If not, removes the session, so that nothing else tries to load it.
async fn user_of(parts: &mut Parts) -> Option<String> {
    let session = parts.extensions.get::<Session>()?.read_only();
    let user = session.get("user").await;
    if user.is_err() {
        parts.extensions.remove::<Session>();
    }
    user.ok()?
}

/// The values for a form, if the page has one.
///
/// A form that was sent without a session creates no new one: another site's page may have sent it without the
/// visitor's cookie, which the new session would replace.
async fn forms(session: &Session, frame: &Frame, reason: &str) -> Value {
    let offers_forms = match reason {
        "login" => true,
        "form" => session.is_new().await.is_ok_and(|is_new| !is_new),
        _ => false,
    };
    let token = if offers_forms { session.csrf_token().await.ok() } else { None };
    token.map_or_else(|| context! {}, |token| with_forms(frame, token))
}

/// The reason for a rejection, if the visitor can do something about it.
fn reason(failed: &FailedRequest) -> &'static str {
    let is = |rejection: CsrfRejection| failed.text == rejection.to_string();
    match failed.status {
        StatusCode::FORBIDDEN if is(CsrfRejection::CrossOrigin) => "foreign",
        StatusCode::FORBIDDEN if is(CsrfRejection::Missing) || is(CsrfRejection::Wrong) => "form",
        StatusCode::FORBIDDEN if failed.method == Method::GET => "login",
        _ => "",
    }
}

/// The referring page, if it is one of this site.
fn back(headers: &HeaderMap) -> Option<String> {
    let from: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(HOST)?.to_str().ok()?;
    let is_ours = from.authority().is_some_and(|authority| authority.as_str() == host);
    let page = from.path_and_query().filter(|_| is_ours)?;
    ampoule::NextPage::new(page.as_str()).path().map(str::to_owned)
}
