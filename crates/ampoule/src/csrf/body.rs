//! Finds the token in a request's body, and keeps the body readable.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use ampoule_core::Bytes;
use axum_core::body::{Body, BodyDataStream};
use futures_util::stream::{self, Fuse, Stream, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request};

use super::rejection::CsrfRejection;

/// The tokens in a body, and the request for its handler.
pub(super) struct SearchedBody {
    pub(super) tokens: Vec<String>,
    pub(super) request: Request<Body>,
}

/// Searches at most `limit` bytes of a form's body for `field`. Bodies of other types have none.
pub(super) async fn search(request: Request<Body>, field: &str, limit: usize) -> Result<SearchedBody, CsrfRejection> {
    let kind = media_type(request.headers());
    if kind == "application/x-www-form-urlencoded" {
        return search_urlencoded(request, field, limit).await;
    }
    match boundary(request.headers()).filter(|_| kind == "multipart/form-data") {
        Some(boundary) => search_multipart(request, &boundary, field, limit).await,
        None => Ok(SearchedBody { tokens: Vec::new(), request }),
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

/// The handler gets the form without the field.
async fn search_urlencoded(request: Request<Body>, field: &str, limit: usize) -> Result<SearchedBody, CsrfRejection> {
    let (mut parts, body) = request.into_parts();
    let form = collect(body, limit).await?;
    let (mut tokens, mut rest) = (Vec::new(), Vec::with_capacity(form.len() + 1));
    for pair in form.split(|byte| *byte == b'&') {
        match form_urlencoded::parse(pair).next() {
            Some((name, value)) if name == field => tokens.push(value.into_owned()),
            _ => rest.extend([b"&", pair].concat()),
        }
    }
    let body = rest.get(1..).map(Bytes::copy_from_slice).unwrap_or_default();
    if parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    Ok(SearchedBody { tokens, request: Request::from_parts(parts, Body::from(body)) })
}

/// Collects a body into one buffer: a client may send it byte by byte, and storing each piece by itself takes many
/// times its length.
async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, CsrfRejection> {
    let (mut body, mut all) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| CsrfRejection::Malformed)?;
        if piece.len() > limit - all.len() {
            return Err(CsrfRejection::TooLarge);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Reads up to the field alone, so that a long upload after it is never held in memory. The handler gets the whole
/// body, including the field.
async fn search_multipart(
    request: Request<Body>,
    boundary: &str,
    field: &str,
    limit: usize,
) -> Result<SearchedBody, CsrfRejection> {
    let (parts, body) = request.into_parts();
    let source = Arc::new(Mutex::new(Source::of(body, limit)));
    let found = find_field(multer::Multipart::new(Tee(Arc::clone(&source)), boundary), field).await;
    let Source { body, mut seen, gathered, left, .. } = match Arc::try_unwrap(source) {
        Ok(source) => source.into_inner().unwrap_or_else(PoisonError::into_inner),
        Err(_) => return Err(CsrfRejection::Malformed),
    };
    if left.is_none() {
        return Err(CsrfRejection::TooLarge);
    }
    let tokens = found.map_err(|_| CsrfRejection::Malformed)?.into_iter().collect();
    seen.push(gathered.into());
    let body = Body::from_stream(stream::iter(seen.into_iter().map(Ok)).chain(body));
    Ok(SearchedBody { tokens, request: Request::from_parts(parts, body) })
}

async fn find_field(mut form: multer::Multipart<'_>, field: &str) -> Result<Option<String>, multer::Error> {
    while let Some(part) = form.next_field().await? {
        if part.name() == Some(field) {
            return part.text().await.map(Some);
        }
    }
    Ok(None)
}

/// A body that is read for the search, and the bytes that were read.
struct Source {
    body: Fuse<BodyDataStream>,
    /// The bytes that were passed on.
    seen: Vec<Bytes>,
    /// The number of bytes that were passed on.
    len: usize,
    /// The bytes that were read since.
    gathered: Vec<u8>,
    /// How many more bytes may be read; `None` after the limit was exceeded.
    left: Option<usize>,
    /// Whether the last piece that was passed on was not searched yet.
    rest: bool,
}

impl Source {
    fn of(body: Body, limit: usize) -> Source {
        let body = body.into_data_stream().fuse();
        Source { body, seen: Vec::new(), len: 0, gathered: Vec::new(), left: Some(limit), rest: false }
    }

    /// Passes on the bytes that were read, if they are an eighth of all before them, or if none follow. multer searches
    /// all its bytes for a boundary, again for each piece: with growing pieces it searches each byte nine times at
    /// most, and an eighth more is read than necessary.
    fn pass_on(&mut self, is_last: bool) -> Option<Bytes> {
        if self.gathered.is_empty() || (self.gathered.len() < self.len / 8 && !is_last) {
            return None;
        }
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        self.len += piece.len();
        self.seen.push(piece.clone());
        self.rest = true;
        Some(piece)
    }
}

struct Tee(Arc<Mutex<Source>>);

impl Stream for Tee {
    type Item = Result<Bytes, axum_core::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // multer reads all available bytes before it searches any.
        if std::mem::take(&mut source.rest) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let polled = ready!(source.body.poll_next_unpin(cx)).transpose()?;
            let is_last = polled.is_none();
            let bytes = polled.unwrap_or_default();
            source.left = source.left.and_then(|left| left.checked_sub(bytes.len()));
            source.gathered.extend_from_slice(&bytes);
            if source.left.is_none() {
                return Poll::Ready(None);
            }
            match source.pass_on(is_last) {
                Some(piece) => return Poll::Ready(Some(Ok(piece))),
                None if is_last => return Poll::Ready(None),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of bytes that multer searches if there is no boundary.
    async fn work(len: usize, piece: usize) -> usize {
        let pieces =
            vec![b'x'; len].chunks(piece).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
        let source = Source::of(Body::from_stream(stream::iter(pieces)), usize::MAX);
        let mut tee = Tee(Arc::new(Mutex::new(source)));
        let (mut seen, mut work) = (0, 0);
        while let Some(piece) = tee.next().await {
            seen += piece.unwrap().len();
            work += seen;
        }
        assert_eq!(seen, len);
        work
    }

    #[tokio::test]
    async fn a_body_in_single_bytes_is_not_searched_again_for_each() {
        for piece in [1, 2, 100, 4_000] {
            for len in [10_000, 100_000, 1_000_000] {
                let work = work(len, piece).await;
                assert!(work <= 10 * len, "{work} bytes are searched for {len} in pieces of {piece}");
            }
        }
    }
}
