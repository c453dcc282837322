//! A page as it is kept, and answered with.

use std::sync::Arc;

use ampoule_core::{Bytes, Time};
use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, DATE, ETAG, EXPIRES, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::status::status;

/// What is known of the answers to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Page {
    /// This is the answer.
    Kept(Arc<Kept>),
    /// There are several, by the values of these headers.
    Varies(Vec<String>),
    /// It cannot be kept.
    Pass,
}

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Raw)>,
    pub(super) body: Raw,
    /// When it was made, in milliseconds since 1970.
    pub(super) made: u64,
}

/// Bytes, encoded as such rather than as a list of numbers.
#[derive(Clone, Debug)]
pub(super) struct Raw(pub(super) Bytes);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Raw;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Raw, E> {
                Ok(Raw(bytes.into()))
            }
        }

        deserializer.deserialize_byte_buf(Visitor)
    }
}

impl Kept {
    /// The answer to a request with these headers: the page, or 304 if the client has it (RFC 9110 section 13.1.2).
    pub(super) fn answer(&self, asked: &HeaderMap, now: Time, what: &'static str) -> Response {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 3);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value.0)) {
                headers.append(name, value);
            }
        }
        headers.insert(AGE, HeaderValue::from(now.since(Time::from_millis(self.made)).as_secs()));
        let is_known = headers.get(ETAG).is_some_and(|etag| matches(asked, etag.as_bytes()));
        let mut response = if is_known && self.status == 200 {
            // Those that section 15.4.5 asks for.
            let told = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, AGE];
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            for (name, value) in headers.iter().filter(|(name, _)| told.contains(name)) {
                response.headers_mut().append(name, value.clone());
            }
            response
        } else {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.0.len()));
            let mut response = Response::new(Body::from(self.body.0.clone()));
            *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
            *response.headers_mut() = headers;
            response
        };
        if self.status == 204 {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        status(response, what)
    }
}

/// Whether If-None-Match names this tag, by the weak comparison of RFC 9110 section 8.8.3.2.
fn matches(asked: &HeaderMap, etag: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let etag = opaque(etag);
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(tags).any(|tag| tag == "*" || opaque(tag.as_bytes()) == etag)
}

/// The tags of a list. A tag may have commas between its quotes.
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
            let mut asked = HeaderMap::new();
            asked.insert(IF_NONE_MATCH, list.parse().unwrap());
            assert_eq!(matches(&asked, b"\"a\""), expected, "{list}");
            assert_eq!(matches(&asked, b"W/\"a\""), expected, "{list}");
        }
    }
}
