//! A request's body that several apps may read, one after the other.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum_core::Error;
use axum_core::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// How much is kept of what an app has read.
const MAX_KEPT: usize = 4 << 20;

/// Keeps what its readers have read: nothing, of an app that reads no body.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<Tape>>);

struct Tape {
    kept: Vec<Bytes>,
    size: usize,
    rest: Body,
    /// Whether all that was read is kept.
    is_whole: bool,
}

/// One pass through the body.
pub(crate) struct Reader {
    replay: Replay,
    next: usize,
}

impl Replay {
    pub(crate) fn new(rest: Body) -> Replay {
        Replay(Arc::new(Mutex::new(Tape { kept: Vec::new(), size: 0, rest, is_whole: true })))
    }

    /// A body from its start.
    pub(crate) fn reader(&self) -> Reader {
        Reader { replay: self.clone(), next: 0 }
    }

    /// Whether another reader gets it whole: not when one has read more than is kept.
    pub(crate) fn can_start_again(&self) -> bool {
        self.tape().is_whole
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let replay = self.replay.clone();
        let mut tape = replay.tape();
        if let Some(bytes) = tape.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        let polled = Pin::new(&mut tape.rest).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            match frame.data_ref().filter(|data| tape.is_whole && tape.size + data.len() <= MAX_KEPT).cloned() {
                Some(data) => {
                    tape.size += data.len();
                    tape.kept.push(data);
                    self.next += 1;
                }
                // Too much, or trailers.
                None => tape.is_whole = false,
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let tape = self.replay.tape();
        self.next >= tape.kept.len() && tape.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let tape = self.replay.tape();
        let left: u64 = tape.kept.iter().skip(self.next).map(|bytes| bytes.len() as u64).sum();
        let mut hint = tape.rest.size_hint();
        let (lower, upper) = (hint.lower() + left, hint.upper().map(|upper| upper + left));
        hint = SizeHint::new();
        hint.set_lower(lower);
        upper.into_iter().for_each(|upper| hint.set_upper(upper));
        hint
    }
}
