//! Who loads or saves a session, one task of a request after the other.

use std::future::poll_fn;
use std::sync::MutexGuard;
use std::task::{Context, Poll, Waker};

use super::Session;
use super::state::State;

/// Whether somebody loads or saves, and who waits for him. It is part of the state, so it costs no lock of its own.
#[derive(Default)]
pub(super) struct Turn {
    is_taken: bool,
    waiting: Vec<Waker>,
}

/// The right to load or to save. It ends when it is dropped, also by a cancelled request.
pub(super) struct Busy<'a>(Option<&'a Session>);

impl Session {
    /// The right to load or to save, if nobody has it. To be called with this session's own state.
    pub(super) fn try_busy(&self, state: &mut State) -> Option<Busy<'_>> {
        state.turn.is_free().then(|| self.take_busy(state))
    }

    /// The right that nobody has.
    pub(super) fn take_busy(&self, state: &mut State) -> Busy<'_> {
        state.turn.is_taken = true;
        Busy(Some(self))
    }

    /// Waits for the right to load or to save.
    pub(super) async fn busy(&self) -> Busy<'_> {
        poll_fn(|cx| self.poll_busy(cx)).await
    }

    fn poll_busy(&self, cx: &mut Context<'_>) -> Poll<Busy<'_>> {
        let mut state = self.state();
        if let Some(busy) = self.try_busy(&mut state) {
            return Poll::Ready(busy);
        }
        let waiting = &mut state.turn.waiting;
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Turn {
    pub(super) fn is_free(&self) -> bool {
        !self.is_taken
    }
}

impl<'a> Busy<'a> {
    /// Ends it, and goes on with the state.
    pub(super) fn end(mut self) -> MutexGuard<'a, State> {
        end(self.0.take().expect("it ends once"))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            drop(end(session));
        }
    }
}

/// Wakes all who wait: they are few, and whoever comes first has the next turn.
fn end(session: &Session) -> MutexGuard<'_, State> {
    let mut state = session.state();
    state.turn.is_taken = false;
    if state.turn.waiting.is_empty() {
        return state;
    }
    let waiting = std::mem::take(&mut state.turn.waiting);
    // Not under the lock: a waker is somebody else's code.
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
    session.state()
}
