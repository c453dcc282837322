//! Reading a body that may be kept, without holding up one that may not.

use ampoule_core::Bytes;
use axum_core::body::Body;
use futures_util::{StreamExt, stream};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};

/// What came of reading.
pub(super) enum Read {
    /// The whole body.
    Whole(Bytes),
    /// A body that is not to be kept, with all that it has and had.
    Part(Body),
}

/// Reads a body whose length is known and small enough. What may never end is not waited for.
pub(super) async fn read(mut body: Body, most: usize) -> Read {
    let Some(length) = body.size_hint().exact().filter(|length| *length <= most as u64) else {
        return Read::Part(body);
    };
    let mut bytes = Vec::with_capacity(length as usize);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            // Trailers, which a page is not kept with.
            Ok(Err(trailers)) => return Read::Part(again(bytes, Ok(trailers), body)),
            // The client gets what there was, and then an end that it can see.
            Err(error) => return Read::Part(again(bytes, Err(error), body)),
        }
    }
    Read::Whole(bytes.into())
}

/// What was read, what came last, and all that is still to come.
fn again(bytes: Vec<u8>, last: Result<Frame<Bytes>, axum_core::Error>, rest: Body) -> Body {
    let read = stream::iter([Ok(Frame::data(Bytes::from(bytes))), last]);
    Body::new(StreamBody::new(read.chain(BodyStream::new(rest))))
}
