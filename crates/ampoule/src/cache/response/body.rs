//! Reads a body that may be stored, without delaying one that may not.

use ampoule_core::Bytes;
use axum_core::body::Body;
use futures_util::{StreamExt, stream};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};

/// The result of reading.
pub(super) enum Read {
    /// The whole body.
    Whole(Bytes),
    /// A body that is not stored, complete with what was read of it.
    Part(Body),
}

/// Reads a body whose length is known and small enough. It does not wait for a body that may never end.
pub(super) async fn read(mut body: Body, most: usize) -> Read {
    let Some(length) = body.size_hint().exact().filter(|length| *length <= most as u64) else {
        return Read::Part(body);
    };
    let mut bytes = Vec::with_capacity(length as usize);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            // Trailers, with which a response is not stored.
            Ok(Err(trailers)) => return Read::Part(again(bytes, Ok(trailers), body)),
            // The client gets the part that was read, and then an error.
            Err(error) => return Read::Part(again(bytes, Err(error), body)),
        }
    }
    Read::Whole(bytes.into())
}

/// A body of the bytes that were read, the last frame or error, and the rest.
fn again(bytes: Vec<u8>, last: Result<Frame<Bytes>, axum_core::Error>, rest: Body) -> Body {
    let read = stream::iter([Ok(Frame::data(Bytes::from(bytes))), last]);
    Body::new(StreamBody::new(read.chain(BodyStream::new(rest))))
}
