//! A request body that several apps can read, one after the other.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum_core::Error;
use axum_core::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The maximum size of the buffer, in bytes.
const MAX_BUFFERED: usize = 4 << 20;

/// Buffers what its readers have read, so that the next reader starts at the beginning.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<Buffer>>);

struct Buffer {
    kept: Vec<Bytes>,
    size: usize,
    rest: Body,
    /// Whether everything that was read is in the buffer.
    is_whole: bool,
}

/// One pass through the body.
pub(crate) struct Reader {
    replay: Replay,
    next: usize,
}

impl Replay {
    pub(crate) fn new(rest: Body) -> Replay {
        Replay(Arc::new(Mutex::new(Buffer { kept: Vec::new(), size: 0, rest, is_whole: true })))
    }

    /// Returns the body from its start.
    pub(crate) fn reader(&self) -> Reader {
        Reader { replay: self.clone(), next: 0 }
    }

    /// Whether another reader gets the whole body: no reader has read more than the buffer holds.
    pub(crate) fn can_replay(&self) -> bool {
        self.buffer().is_whole
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let replay = self.replay.clone();
        let mut buffer = replay.buffer();
        if let Some(bytes) = buffer.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        let polled = Pin::new(&mut buffer.rest).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            match frame.data_ref().filter(|data| buffer.is_whole && buffer.size + data.len() <= MAX_BUFFERED).cloned() {
                Some(data) => {
                    buffer.size += data.len();
                    buffer.kept.push(data);
                    self.next += 1;
                }
                // The buffer is full, or the frame has trailers.
                None => buffer.is_whole = false,
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let buffer = self.replay.buffer();
        self.next >= buffer.kept.len() && buffer.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let buffer = self.replay.buffer();
        let left: u64 = buffer.kept.iter().skip(self.next).map(|bytes| bytes.len() as u64).sum();
        let mut hint = buffer.rest.size_hint();
        let (lower, upper) = (hint.lower() + left, hint.upper().map(|upper| upper + left));
        hint = SizeHint::new();
        hint.set_lower(lower);
        upper.into_iter().for_each(|upper| hint.set_upper(upper));
        hint
    }
}
