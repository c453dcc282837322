//! Loading and saving, so that a request that is dropped at any await loses and breaks nothing.

use std::sync::{Arc, MutexGuard};

use ampoule_core::{ChangeLog, Error, ErrorKind, Record};

use super::state::{Known, State, Tell};
use super::{Session, USED};
use crate::event::EventKind;
use crate::home::Client;
use crate::id::Id;
use crate::options::Outage;
use crate::protocol::{Found, Move};

impl Session {
    /// Writes the request's changes now.
    ///
    /// When it returns `Ok`, what it wrote survives the death of the process, as far as the store's settings say
    /// (promise P7). Nothing is written if nothing was changed; a new session comes to be, even an empty one. A save
    /// that also gives a new id is complete when the response is sent; until then the old id leads to the session as
    /// it was.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if the session was ended by another request: it is not made again.
    /// [`ErrorKind::Conflict`] after 64 tries against faster writers. [`ErrorKind::TooLarge`]. Those of the store. The
    /// changes are kept, and a later save tries again. After [`ErrorKind::Timeout`] they may have been written
    /// already, and an [`update`](Session::update) may then count twice.
    pub async fn save(&self) -> Result<(), Error> {
        drop(self.load().await?);
        let _busy = self.busy().await;
        let (known, next, renew) = self.to_save();
        let unsaved = Unsaved::take(self);
        match known {
            Known::Nothing | Known::Deleted => Err(Error::new(
                ErrorKind::Gone,
                "the session was deleted in this request; invalidate() ends a session and begins a new one",
            )),
            Known::Unreachable(_) => Err(unreachable()),
            Known::New(_) => {
                let (id, found) = self.0.shared.home.create(next).await?;
                self.admit(&found, None).await?;
                self.0.shared.tell(EventKind::Created, found.key, found.record.principal());
                self.saved(id, found, unsaved, Tell::Set)
            }
            Known::Live(id, found) if renew && !found.moved => Box::pin(self.renew(id, found, next, unsaved)).await,
            Known::Live(id, found) => self.commit(id, &found, next, unsaved).await,
        }
    }

    /// What is to be written, as it stands now.
    fn to_save(&self) -> (Known, Box<Record>, bool) {
        let now = self.now();
        let state = self.state();
        let mut next = Box::new(state.record().cloned().unwrap_or_else(|| self.0.shared.blank(now)));
        // A cookie that lives as long as its session is sent again when that changes.
        let new_life = state.saved().is_some_and(|saved| saved.lifetime != next.lifetime);
        let is_due = matches!(state.known, Known::New(_)) || state.renew || self.is_cookie_due(&state, &next, now);
        if is_due || new_life {
            next.cookie_sent = now;
        }
        next.accessed = now;
        (state.known.clone(), next, state.renew && state.moving.is_none())
    }

    async fn commit(&self, id: Id, base: &Found, next: Box<Record>, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let home = &self.0.shared.home;
        if next.same_data(&base.record) {
            unsaved.discard();
            self.state().settled();
            return Ok(());
        }
        let new_life = next.lifetime != base.record.lifetime;
        let resent = new_life || next.cookie_sent != base.record.cookie_sent || home.is_cookie();
        let now = next.accessed;
        let found = home.commit(&id, base, next, &unsaved.changes, now).await?;
        if found.record.principal() != base.record.principal()
            && let Err(error) = self.admit(&found, None).await
        {
            // It has no other id to fall back to.
            self.state().forget(Known::Deleted);
            return Err(error);
        }
        let tell = if resent && !found.moved { Tell::Set } else { self.state().tell };
        self.saved(id, found, unsaved, tell)
    }

    /// Writes the session under a new id. A cookie session needs nothing more; in a store its old place is told at
    /// the end of the request.
    async fn renew(&self, _old: Id, base: Arc<Found>, next: Box<Record>, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let home = &self.0.shared.home;
        let (id, found) = home.create(next).await?;
        self.admit(&found, Some(base.key)).await?;
        if !home.is_cookie() {
            let moving = Move { old: base, changes: ChangeLog::default() };
            self.state().moving = Some(Box::new(moving));
        }
        self.saved(id, found, unsaved, Tell::Set)
    }

    fn saved(&self, id: Id, found: Arc<Found>, unsaved: Unsaved<'_>, tell: Tell) -> Result<(), Error> {
        let changes = unsaved.discard();
        let mut state = self.state();
        if let Some(moving) = &mut state.moving {
            moving.changes.append(changes)?;
        }
        state.wrote = true;
        state.renew = false;
        state.tell = tell;
        state.learn(Known::Live(id, found))
    }

    /// Loads the session, unless that is done, and counts as a use of it. The state is locked when it returns.
    pub(super) async fn load(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.note(USED);
        self.load_once().await
    }

    pub(super) async fn load_once(&self) -> Result<MutexGuard<'_, State>, Error> {
        let shared = &self.0.shared;
        let (_busy, led) = loop {
            {
                let state = self.state();
                if state.is_loaded() {
                    return Ok(state);
                }
                if let Ok(busy) = self.0.busy.try_lock() {
                    break (busy, shared.home.lead(&self.0.brought, state.given(), shared));
                }
            }
            // Another task of this request is at it.
            drop(self.busy().await);
        };
        let client = match led.follow().await {
            Err(error) if error.kind() == ErrorKind::Corrupt && shared.options.invalidate_corrupt => {
                tracing::error!(session = %shared.name, %error, "a session is damaged; its client gets a new one");
                Client::Stranger
            }
            Err(error) if shared.options.on_outage == Outage::Anonymous && is_outage(&error) => {
                tracing::warn!(session = %shared.name, %error, "a request goes on without its session");
                let mut state = self.state();
                state.is_new = true;
                state.learn(Known::Unreachable(Arc::new(shared.blank(self.now()))))?;
                return Ok(state);
            }
            client => client?,
        };
        if let Client::Late(key) = client {
            shared.tell(EventKind::Expired, key, None);
        }
        let mut state = self.state();
        let Client::Known(loaded) = client else {
            state.is_new = true;
            state.learn(Known::New(Arc::new(shared.blank(self.now()))))?;
            return Ok(state);
        };
        let Found { record, deadline, .. } = &*loaded.found;
        state.last_accessed = Some(record.lifetime.last_use(*deadline).unwrap_or(record.accessed));
        state.reissue = !loaded.current;
        state.via = loaded.via;
        state.learn(Known::Live(loaded.id, loaded.found))?;
        Ok(state)
    }
}

fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

pub(super) fn unreachable() -> Error {
    let message = "the session store could not be reached when this request began; nothing was saved or ended";
    Error::new(ErrorKind::Unavailable, message)
}

/// The changes on their way into a store. If the way ends early, by an error or a dropped future, they go back to
/// where they came from, before those that were made meanwhile.
struct Unsaved<'a> {
    session: &'a Session,
    changes: ChangeLog,
}

impl<'a> Unsaved<'a> {
    fn take(session: &'a Session) -> Unsaved<'a> {
        Unsaved { session, changes: std::mem::take(&mut session.state().changes) }
    }

    fn discard(mut self) -> ChangeLog {
        std::mem::take(&mut self.changes)
    }
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let mut state = self.session.state();
        let newer = std::mem::replace(&mut state.changes, std::mem::take(&mut self.changes));
        // What was accepted once is accepted again.
        let _ = state.changes.append(newer);
    }
}
