//! The last events of all sessions, for the pages that show those of one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ampoule::{Clock, Event, EventKind, SessionId, SystemClock, Time};

/// So many are kept, of all sessions together: what an attacker raises costs no more than this.
const MAX_EVENTS: usize = 4_096;

#[derive(Default)]
pub(super) struct Events(Mutex<VecDeque<Happened>>);

/// What happened to a session, and when.
#[derive(Clone, Copy)]
pub(crate) struct Happened {
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
        events.push_back(Happened { at: SystemClock.now(), kind: event.kind, id: event.id });
    }

    /// Those of one session, the latest first.
    pub(super) fn of(&self, id: SessionId) -> Vec<Happened> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().filter(|event| event.id == id).copied().collect()
    }
}
