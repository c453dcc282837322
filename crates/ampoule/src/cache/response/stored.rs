//! A response as it is stored, and the responses made from it.

use std::sync::Arc;
use std::time::SystemTime;

use ampoule_core::{Bytes, Time};
use axum_core::body::Body;
use axum_core::response::Response;
use http::StatusCode;
use http::header::{self, AGE, CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use serde::{Deserialize, Serialize};

use super::status::{CacheStatus, Forward};
use super::{conditional, key, policy};

/// What is stored under a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Stored {
    /// A response.
    Response(Arc<StoredResponse>),
    /// The names of the header fields that select one of several responses.
    Variants(Vec<String>),
    /// The response could not be stored: for some time requests do not wait for each other.
    Uncacheable,
}

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    status: u16,
    headers: Vec<(String, Raw)>,
    body: Raw,
    /// When it was received from the handler, in milliseconds since 1970.
    received: u64,
    /// The header fields in its `Vary`, and a digest of their values in its request.
    vary: Vec<String>,
    selection: String,
}

impl StoredResponse {
    pub(super) fn new(parts: &Parts, body: Bytes, received: Time, vary: Vec<String>, request: &HeaderMap) -> Self {
        let named = connection_options(&parts.headers);
        let lasts = |name: &&HeaderName| !is_of_the_connection(name) && !named.contains(name);
        let headers = parts.headers.keys().filter(lasts).flat_map(|name| {
            let values = parts.headers.get_all(name).iter();
            values.map(|value| (name.to_string(), Raw(Bytes::copy_from_slice(value.as_bytes()))))
        });
        let mut headers: Vec<(String, Raw)> = headers.collect();
        if !parts.headers.contains_key(DATE) {
            let date = httpdate::fmt_http_date(SystemTime::from(received));
            headers.push((DATE.to_string(), Raw(date.into())));
        }
        let selection = key::selection(&vary, request);
        let (status, received) = (parts.status.as_u16(), received.as_millis());
        StoredResponse { status, headers, body: Raw(body), received, vary, selection }
    }

    /// The response to the request that caused the storage.
    pub(super) fn answer_first(&self, request: &HeaderMap, now: Time) -> Response {
        CacheStatus::Stored.on(conditional::answer(request, self.response(self.header_map(), now)))
    }

    /// The response to another request, if it may be reused for that.
    pub(super) fn reuse(&self, request: &HeaderMap, now: Time, failed: bool) -> Result<Response, Forward> {
        if key::selection(&self.vary, request) != self.selection {
            return Err(Forward::VaryMiss);
        }
        let (headers, received) = (self.header_map(), Time::from_millis(self.received).into());
        let ttl = policy::reuse(request, (self.status(), &headers, received), now.into(), failed)?;
        let response = conditional::answer(request, self.response(headers, now));
        Ok(CacheStatus::Hit(ttl).on(response))
    }

    fn response(&self, mut headers: HeaderMap, now: Time) -> Response {
        let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse::<u64>().ok()).unwrap_or_default();
        let resident = now.since(Time::from_millis(self.received)).as_secs();
        headers.insert(AGE, HeaderValue::from(age.saturating_add(resident)));
        if self.status() != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.0.len()));
        }
        let mut response = Response::new(Body::from(self.body.0.clone()));
        *response.status_mut() = self.status();
        *response.headers_mut() = headers;
        response
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or_default()
    }

    fn header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 3);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value.0)) {
                headers.append(name, value);
            }
        }
        headers
    }
}

/// Header fields that concern one connection, not the response (RFC 9110 section 7.6.1).
fn is_of_the_connection(name: &HeaderName) -> bool {
    let names = [CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];
    names.contains(name) || name == "keep-alive" || name == "proxy-connection"
}

/// The header fields that `Connection` names.
fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Bytes that are encoded as such rather than as a list of numbers.
#[derive(Clone, Debug)]
struct Raw(Bytes);

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
