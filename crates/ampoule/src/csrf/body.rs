//! Finds the token in a request's body, and leaves the body readable.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use ampoule_core::Bytes;
use axum_core::body::{Body, BodyDataStream};
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::CsrfRejection;

/// The tokens that a body holds, and the request as its handler gets it.
pub(super) struct Searched {
    pub(super) tokens: Vec<String>,
    pub(super) request: Request<Body>,
}

/// Looks for `field` in at most `limit` bytes of a form's body. Bodies of other types have none.
pub(super) async fn search(request: Request<Body>, field: &str, limit: usize) -> Result<Searched, CsrfRejection> {
    let kind = media_type(request.headers());
    if kind == "application/x-www-form-urlencoded" {
        return search_urlencoded(request, field, limit).await;
    }
    match boundary(request.headers()).filter(|_| kind == "multipart/form-data") {
        Some(boundary) => search_multipart(request, &boundary, field, limit).await,
        None => Ok(Searched { tokens: Vec::new(), request }),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn media_type(headers: &HeaderMap) -> String {
    content_type(headers).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(content_type(headers)).ok()
}

/// The handler gets the form without the field, as if it had never been there.
async fn search_urlencoded(request: Request<Body>, field: &str, limit: usize) -> Result<Searched, CsrfRejection> {
    let (mut parts, body) = request.into_parts();
    let bytes = match Limited::new(body, limit).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(CsrfRejection::TooLarge),
        Err(_) => return Err(CsrfRejection::Malformed),
    };
    let (mut tokens, mut rest) = (Vec::new(), Vec::new());
    for pair in bytes.split(|byte| *byte == b'&') {
        match form_urlencoded::parse(pair).next() {
            Some((name, value)) if name == field => tokens.push(value.into_owned()),
            _ => rest.push(pair),
        }
    }
    let body = if tokens.is_empty() { bytes } else { Bytes::from(rest.join(&b'&')) };
    if parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    Ok(Searched { tokens, request: Request::from_parts(parts, Body::from(body)) })
}

/// Reads as far as the field alone, so that a long upload behind it is never held in memory. The handler gets all of it,
/// the field too.
async fn search_multipart(
    request: Request<Body>,
    boundary: &str,
    field: &str,
    limit: usize,
) -> Result<Searched, CsrfRejection> {
    let (parts, body) = request.into_parts();
    let source = Arc::new(Mutex::new(Source {
        body: body.into_data_stream(),
        seen: Vec::new(),
        left: Some(limit),
        rest: false,
    }));
    let found = find_field(multer::Multipart::new(Tee(Arc::clone(&source)), boundary), field).await;
    let Source { body, seen, left, .. } = match Arc::try_unwrap(source) {
        Ok(source) => source.into_inner().unwrap_or_else(PoisonError::into_inner),
        Err(_) => return Err(CsrfRejection::Malformed),
    };
    if left.is_none() {
        return Err(CsrfRejection::TooLarge);
    }
    let tokens = found.map_err(|_| CsrfRejection::Malformed)?.into_iter().collect();
    let body = Body::from_stream(stream::iter(seen.into_iter().map(Ok)).chain(body));
    Ok(Searched { tokens, request: Request::from_parts(parts, body) })
}

async fn find_field(mut form: multer::Multipart<'_>, field: &str) -> Result<Option<String>, multer::Error> {
    while let Some(part) = form.next_field().await? {
        if part.name() == Some(field) {
            return part.text().await.map(Some);
        }
    }
    Ok(None)
}

/// A body that is read for the search, and what was read of it.
struct Source {
    body: BodyDataStream,
    seen: Vec<Bytes>,
    /// How many bytes may still be read; none once there was one more.
    left: Option<usize>,
    /// Whether a piece was handed on that nobody has had time to look at.
    rest: bool,
}

struct Tee(Arc<Mutex<Source>>);

impl Stream for Tee {
    type Item = Result<Bytes, axum_core::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // multer takes all it can get before it looks at any of it.
        if std::mem::take(&mut source.rest) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = source.body.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            source.left = source.left.and_then(|left| left.checked_sub(bytes.len()));
            source.seen.push(bytes.clone());
            source.rest = true;
            if source.left.is_none() {
                return Poll::Ready(None);
            }
        }
        polled
    }
}
