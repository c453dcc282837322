//! The last events of all sessions, for pages that show those of one session.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ampoule::{Clock, Event, EventKind, SessionId, SystemClock, Time};

/// The maximum number of events of all sessions, so that an attacker cannot fill the memory.
const MAX_EVENTS: usize = 4_096;

#[derive(Default)]
pub(super) struct Events(Mutex<VecDeque<RecordedEvent>>);

/// An event of a session, with its time.
#[derive(Clone, Copy)]
pub(crate) struct RecordedEvent {
    pub(crate) at: Time,
    pub(crate) kind: EventKind,
    id: SessionId,
}

impl Events {
    pub(super) fn note(&self, event: &Event<'_>) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(RecordedEvent { at: SystemClock.now(), kind: event.kind, id: event.id });
    }

    /// The events of one session, latest first.
    pub(super) fn of(&self, id: SessionId) -> Vec<RecordedEvent> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().filter(|event| event.id == id).copied().collect()
    }
}
