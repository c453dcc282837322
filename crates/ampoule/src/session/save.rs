//! Loading and saving, so that a request that is dropped at any await loses and breaks nothing.

use std::sync::{Arc, MutexGuard};

use ampoule_core::{ChangeLog, Error, ErrorKind, Record, Reply};

use super::Session;
use super::busy::Busy;
use super::state::{Known, State, Tell};
use crate::event::EventKind;
use crate::home::{Client, Led, Proved};
use crate::id::Id;
use crate::options::Outage;
use crate::protocol::{Found, Move};

/// How far a session is loaded when nobody has waited yet.
enum Loading<'a> {
    Done(Result<MutexGuard<'a, State>, Error>),
    /// The store has yet to answer.
    Waits(Busy<'a>, Proved, Reply<'a, Option<Found>>),
    /// Another task of this request is at it.
    ByAnother,
}

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
        let Saving { known, next, unsaved, renew } = loop {
            {
                let mut state = self.load().await?;
                if let Some(busy) = self.try_busy(&mut state) {
                    break self.to_save(&mut state, busy);
                }
            }
            drop(self.busy().await);
        };
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
                self.saved(id, found, unsaved, Some(Tell::Set))
            }
            Known::Live(id, found) if renew && !found.moved => Box::pin(self.renew(id, found, next, unsaved)).await,
            Known::Live(id, found) => self.commit(id, &found, next, unsaved).await,
        }
    }

    /// What is to be written, as it stands now. The changes are taken out until it is settled what becomes of them.
    fn to_save<'a>(&'a self, state: &mut State, busy: Busy<'a>) -> Saving<'a> {
        let next = match state.record().cloned() {
            Some(next) if state.is_changed() || matches!(state.known, Known::New(_)) => self.stamped(state, next),
            Some(next) => next,
            None => Arc::new(self.0.shared.blank(self.now())),
        };
        let changes = std::mem::take(&mut state.changes);
        let renew = state.renew && state.moving.is_none();
        Saving {
            known: state.known.clone(),
            next,
            unsaved: Unsaved { session: self, busy: Some(busy), changes },
            renew,
        }
    }

    /// The record with the moments at which it is written and, where that is due, its cookie sent. It stays what the
    /// request sees.
    fn stamped(&self, state: &mut State, next: Arc<Record>) -> Arc<Record> {
        let now = self.now();
        let is_due = matches!(state.known, Known::New(_))
            || state.renew
            || state.saved().is_some_and(|saved| {
                // A cookie that lives as long as its session is sent again when that changes.
                saved.lifetime != next.lifetime || self.is_cookie_due(state, &next.lifetime, saved.cookie_sent, now)
            });
        let cookie_sent = if is_due { Some(now) } else { state.saved().map(|saved| saved.cookie_sent) };
        let view = state.view.insert(next);
        let record = Arc::make_mut(view);
        record.accessed = now;
        record.cookie_sent = cookie_sent.unwrap_or(now);
        Arc::clone(view)
    }

    async fn commit(&self, id: Id, base: &Found, next: Arc<Record>, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let home = &self.0.shared.home;
        if next.same_data(&base.record) {
            unsaved.done().1.settled();
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
        let tell = (resent && !found.moved).then_some(Tell::Set);
        self.saved(id, found, unsaved, tell)
    }

    /// Writes the session under a new id. A cookie session needs nothing more; in a store its old place is told at
    /// the end of the request.
    async fn renew(&self, _old: Id, base: Found, next: Arc<Record>, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let home = &self.0.shared.home;
        let (id, found) = home.create(next).await?;
        self.admit(&found, Some(base.key)).await?;
        if !home.is_cookie() {
            let moving = Move { old: base, changes: ChangeLog::default() };
            self.state().moving = Some(Box::new(moving));
        }
        self.saved(id, found, unsaved, Some(Tell::Set))
    }

    fn saved(&self, id: Id, found: Found, unsaved: Unsaved<'_>, tell: Option<Tell>) -> Result<(), Error> {
        let (changes, mut state) = unsaved.done();
        if let Some(moving) = &mut state.moving {
            moving.changes.append(changes)?;
        }
        state.wrote = true;
        state.renew = false;
        state.tell = tell.unwrap_or(state.tell);
        state.learn(Known::Live(id, found))
    }

    /// Loads the session, unless that is done, and counts as a use of it. The state is locked when it returns.
    pub(super) async fn load(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.note_use();
        self.load_once().await
    }

    pub(super) async fn load_once(&self) -> Result<MutexGuard<'_, State>, Error> {
        loop {
            let waits = {
                match self.load_now() {
                    Loading::Done(state) => return state,
                    Loading::Waits(busy, proved, later) => Some((busy, proved, later)),
                    Loading::ByAnother => None,
                }
            };
            let Some((busy, proved, later)) = waits else {
                drop(self.busy().await);
                continue;
            };
            let client = proved.leads_to(later.await);
            return self.meet(busy.end(), client);
        }
    }

    /// Loads as far as that can be done without waiting.
    fn load_now(&self) -> Loading<'_> {
        let shared = &self.0.shared;
        let mut state = self.state();
        if state.is_loaded() {
            return Loading::Done(Ok(state));
        }
        if !state.turn.is_free() {
            return Loading::ByAnother;
        }
        match shared.home.lead(&self.0.brought, state.given(), shared) {
            Led::Here(client) => Loading::Done(self.meet(state, client)),
            Led::Into(proved, later) => Loading::Waits(self.take_busy(&mut state), proved, later),
        }
    }

    /// Takes note of whom the request comes from.
    fn meet<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        client: Result<Client, Error>,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let shared = &self.0.shared;
        let client = match client {
            Err(error) if error.kind() == ErrorKind::Corrupt && shared.options.invalidate_corrupt => {
                tracing::error!(session = %shared.name, %error, "a session is damaged; its client gets a new one");
                Client::Stranger
            }
            Err(error) if shared.options.on_outage == Outage::Anonymous && is_outage(&error) => {
                tracing::warn!(session = %shared.name, %error, "a request goes on without its session");
                state.is_new = true;
                state.learn(Known::Unreachable(Arc::new(shared.blank(self.now()))))?;
                return Ok(state);
            }
            client => client?,
        };
        let Client::Known(loaded) = client else {
            state.is_new = true;
            state.learn(Known::New(Arc::new(shared.blank(self.now()))))?;
            if let Client::Late(key) = client {
                // Not under the lock: who is told is somebody else's code.
                drop(state);
                shared.tell(EventKind::Expired, key, None);
                state = self.state();
            }
            return Ok(state);
        };
        let Found { record, deadline, .. } = &loaded.found;
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

/// A save that is under way.
struct Saving<'a> {
    known: Known,
    next: Arc<Record>,
    unsaved: Unsaved<'a>,
    renew: bool,
}

/// The changes on their way into a store. If the way ends early, by an error or a dropped future, they go back to
/// where they came from, before those that were made meanwhile.
struct Unsaved<'a> {
    session: &'a Session,
    busy: Option<Busy<'a>>,
    changes: ChangeLog,
}

impl<'a> Unsaved<'a> {
    /// The changes, which nobody needs any more, and the state.
    fn done(mut self) -> (ChangeLog, MutexGuard<'a, State>) {
        let state = self.busy.take().map_or_else(|| self.session.state(), Busy::end);
        (std::mem::take(&mut self.changes), state)
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
