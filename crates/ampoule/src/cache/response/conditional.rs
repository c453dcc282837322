//! Conditional requests: whether the client has the response already (RFC 9110 section 13.1, RFC 9111 section 4.3.2).

use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, StatusCode};

/// Returns the response, or a 304 if the request's conditions match it.
pub(super) fn answer(request: &HeaderMap, response: Response) -> Response {
    if response.status() != StatusCode::OK || !is_known(request, response.headers()) {
        return response;
    }
    let mut response = response.map(|_| Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE] {
        response.headers_mut().remove(name);
    }
    response
}

/// `If-None-Match` takes precedence over `If-Modified-Since`.
fn is_known(request: &HeaderMap, response: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        return response.get(ETAG).is_some_and(|etag| matches(request, etag.as_bytes()));
    }
    let date =
        |headers: &HeaderMap, name: HeaderName| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    match (date(request, IF_MODIFIED_SINCE), date(response, LAST_MODIFIED)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether `If-None-Match` names this tag, by the weak comparison of RFC 9110 section 8.8.3.2.
fn matches(request: &HeaderMap, etag: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let etag = opaque(etag);
    let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(tags).any(|tag| tag == "*" || opaque(tag.as_bytes()) == etag)
}

/// The tags of a list. A tag may contain commas between its quotes.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return None;
        }
        let quotes = rest.match_indices('"').take(2).last();
        let end = match quotes {
            Some((at, _)) if rest.starts_with('"') || rest.starts_with("W/\"") => at + 1,
            _ => rest.find(',').unwrap_or(rest.len()),
        };
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_in_any_list() {
        for (list, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"x\", \"a\"", true),
            ("\"x,\",W/\"a\" , \"y\"", true),
            ("*", true),
            ("\"x\"", false),
            ("a", false),
            ("\"a", false),
            ("", false),
        ] {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, list.parse().unwrap());
            assert_eq!(matches(&request, b"\"a\""), expected, "{list}");
            assert_eq!(matches(&request, b"W/\"a\""), expected, "{list}");
        }
    }

    #[test]
    fn a_date_counts_only_without_a_tag() {
        let (early, late) = ("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 02 Jan 1970 00:00:00 GMT");
        let response = HeaderMap::from_iter([(LAST_MODIFIED, late.parse().unwrap())]);
        for (since, expected) in [(late, true), (early, false), ("soon", false)] {
            let mut request = HeaderMap::from_iter([(IF_MODIFIED_SINCE, since.parse().unwrap())]);
            assert_eq!(is_known(&request, &response), expected, "{since}");
            request.insert(IF_NONE_MATCH, "\"x\"".parse().unwrap());
            assert!(!is_known(&request, &response));
        }
    }
}
