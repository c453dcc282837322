//! The responses to a client whose session may not use a protected route.

use std::time::Duration;

use axum::extract::OriginalUri;
use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::next_page::NextPage;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A redirect to the login page, for a browser that opens a page; `None` for any other client, and for the login page
/// itself, which would redirect to itself forever.
pub(super) fn to_login(parts: &Parts, login: &str) -> Option<Response> {
    let target = parts.extensions.get().map_or(&parts.uri, |OriginalUri(uri)| uri);
    let is_login_page = login.split('?').next() == Some(target.path());
    if !is_navigation(parts) || is_login_page {
        return None;
    }
    let mut response = answer(StatusCode::SEE_OTHER, "");
    let location = HeaderValue::from_str(&page_of(target).on(login)).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

fn page_of(uri: &Uri) -> NextPage {
    uri.path_and_query().map_or_else(NextPage::default, |page| NextPage::new(page.as_str()))
}

/// The response if a login is needed, or a login that is not older than `fresh`.
///
/// A 401 names an authentication scheme (RFC 9110 section 15.5.2); a session that travels only in cookies has none.
pub(super) fn login_required(parts: &Parts, takes_bearer: bool, fresh: Option<Duration>) -> Response {
    let mut response = answer(StatusCode::FORBIDDEN, "Please log in first.\n");
    if takes_bearer {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge(&parts.headers, fresh));
    }
    response
}

/// The challenge has at least one parameter, and no error if no token was sent (RFC 6750 section 3). A login that is
/// too old has an error code of its own (RFC 9470 section 3).
fn challenge(headers: &HeaderMap, fresh: Option<Duration>) -> HeaderValue {
    match fresh {
        Some(fresh) => {
            let text = format!("Bearer error=\"insufficient_user_authentication\", max_age=\"{}\"", fresh.as_secs());
            HeaderValue::try_from(text).unwrap_or_else(|_| no_token())
        }
        None if headers.contains_key(AUTHORIZATION) => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        None => no_token(),
    }
}

fn no_token() -> HeaderValue {
    HeaderValue::from_static("Bearer realm=\"session\"")
}

/// The response to a user without the permission.
pub(super) fn forbidden() -> Response {
    answer(StatusCode::FORBIDDEN, "You may not do this.\n")
}

/// A response that no cache keeps; the session's layer adds `Vary`.
fn answer(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a browser opens a page, as opposed to a script that fetches data.
fn is_navigation(parts: &Parts) -> bool {
    let mode = parts.headers.get(SEC_FETCH_MODE);
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    is_read && mode.is_none_or(|mode| mode == "navigate") && accepts_html(&parts.headers)
}

/// Whether a client accepts HTML by name: programs send `*/*`.
fn accepts_html(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    ranges.filter_map(|range| str::from_utf8(range).ok()).any(is_html)
}

fn is_html(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_html = parts.next().is_some_and(|kind| {
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    });
    // A weight of 0 is "not acceptable" (RFC 9110 section 12.4.2).
    let mut weights = parts.filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    is_html && weights.all(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_must_be_accepted_by_name() {
        for (range, expected) in [
            ("text/html", true),
            ("TEXT/HTML;charset=utf-8", true),
            (" application/xhtml+xml ; q=0.9", true),
            ("text/html;q=0", false),
            ("text/html; Q=0.000", false),
            ("text/html;q=x", false),
            ("*/*", false),
            ("text/*", false),
            ("application/json", false),
            ("text/htmlx", false),
            ("", false),
        ] {
            assert_eq!(is_html(range), expected, "{range}");
        }
    }
}
