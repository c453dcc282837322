//! Loading, loading again, and ending.

use std::pin::Pin;
use std::sync::MutexGuard;

use ampoule_core::{Error, ErrorKind, Record, SessionId};

use crate::backend::{Backend, Lineage, Lookup, Outcome, Snapshot};
use crate::event::EventKind;
use crate::options::OutagePolicy;
use crate::session::Session;
use crate::session::state::{State, unreachable};

/// A look-up that is under way.
type Later<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl Session {
    /// Loads the session, unless that is done, and counts as a use of it. The state is locked when it returns.
    pub(in crate::session) async fn load(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.note_use();
        self.load_once().await
    }

    /// As [`load`](Session::load), without counting as a use.
    pub(in crate::session) async fn load_once(&self) -> Result<MutexGuard<'_, State>, Error> {
        if let Some(state) = self.loaded() {
            return Ok(state);
        }
        let Some(later) = self.look_up()? else { return Ok(self.state()) };
        if let Ok(_io) = self.0.io.try_lock() {
            // Another task of this request may have done it.
            if self.loaded().is_none() {
                later.await?;
            }
            return Ok(self.state());
        }
        // What the look-up began with is too old after a wait.
        drop(later);
        let _io = self.io().await;
        self.load_under().await
    }

    /// Loads the session, unless that is done, with the right to do I/O.
    pub(super) async fn load_under(&self) -> Result<MutexGuard<'_, State>, Error> {
        if let Some(state) = self.loaded() {
            return Ok(state);
        }
        if let Some(later) = self.look_up()? {
            later.await?;
        }
        Ok(self.state())
    }

    /// The state, if the session is loaded.
    fn loaded(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.is_loaded())
    }

    /// Loads the session, at once or later: in a box, so that futures which memory answers at once stay small.
    fn look_up(&self) -> Result<Option<Later<'_>>, Error> {
        self.check_cookie()?;
        let (shared, given) = (&self.0.shared, self.chosen().token.clone());
        let reply = shared.backend.load(&self.0.credentials, given.as_deref(), &shared.context(self.now()));
        match reply.try_now() {
            Ok(looked_up) => self.learn(looked_up).map(|()| None),
            Err(later) => Ok(Some(Box::pin(async { self.learn(later.await) }))),
        }
    }

    fn learn(&self, looked_up: Result<Lookup, Error>) -> Result<(), Error> {
        let shared = &self.0.shared;
        let mut lookup = match looked_up {
            Err(error) if error.kind() == ErrorKind::Corrupt && shared.options.invalidate_corrupt => {
                tracing::error!(session = %shared.name, error = %error.report(), "a session is damaged; its client gets a new one");
                Lookup::of(Outcome::Unknown)
            }
            Err(error) if shared.options.on_outage == OutagePolicy::Anonymous && is_outage(&error) => {
                tracing::warn!(session = %shared.name, error = %error.report(), "a request continues without its session");
                return self.state().unreachable(shared.blank(self.now()));
            }
            lookup => lookup?,
        };
        let events = std::mem::take(&mut lookup.events);
        let decides = self.state().loaded(lookup, || shared.blank(self.now()))?;
        self.trace();
        // Not under the state's lock: the hook is the application's code.
        for (kind, id) in events.into_iter().filter(|_| decides) {
            self.report(kind, id);
        }
        Ok(())
    }

    /// What the tokens of a request say, for the audit and, where it may be an attack, for the log.
    fn report(&self, kind: EventKind, id: SessionId) {
        let shared = &self.0.shared;
        let warning = match kind {
            EventKind::Replayed => {
                "a token came that was replaced by a newer one, which has been used: it may be stolen"
            }
            EventKind::Conflicting => "the tokens of two sessions came with one request, so neither counts",
            _ => "",
        };
        if !warning.is_empty() {
            tracing::warn!(session = %shared.name, %id, "{warning}");
        }
        shared.tell(kind, id, None);
    }

    /// Loads the session again, with what other requests have saved, and returns whether it still lives. Unsaved
    /// changes stay, on top of what is loaded.
    ///
    /// For requests that last: call it between the messages of a WebSocket or the events of a stream. A session that
    /// was ended, or replaced by a login, stays ended: it is empty, and saving it returns [`ErrorKind::Gone`]. A
    /// rotation of its token by another request changes nothing.
    ///
    /// ```
    /// # async fn next_message() -> Option<String> { None }
    /// async fn socket(session: ampoule::Session) -> Result<(), ampoule::Error> {
    ///     while let Some(message) = next_message().await {
    ///         if !session.reload().await? {
    ///             break; // logged out, here or on another device
    ///         }
    ///         session.insert("last_message", &message)?;
    ///         session.save().await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn reload(&self) -> Result<bool, Error> {
        self.note_use();
        let _io = self.io().await;
        let known = {
            let state = self.load_under().await?;
            state.live().map(|live| live.snapshot.clone())
        };
        let (Some(known), Backend::Store(store)) = (known, &self.0.shared.backend) else {
            let state = self.state();
            return Ok(state.live().is_some());
        };
        let found = store.find(known.id).await?;
        let mut state = self.state();
        match found {
            Some(found) if found.record.identity.frozen_until.is_none() => state.refreshed(found).map(|()| true),
            // Another login has frozen it, and it may live on.
            Some(_) => {
                state.lost(self.0.shared.blank(self.now()), Lineage { device: known.device(), origin: None });
                Ok(false)
            }
            None => {
                state.lost(self.0.shared.blank(self.now()), Lineage::of(&known));
                Ok(false)
            }
        }
    }

    /// Ends every session whose token came: the one that counts first, then what belongs to it.
    pub(in crate::session) async fn end(&self, next: Option<Record>) -> Result<(), Error> {
        self.note_use();
        let _io = self.io().await;
        let sessions = match self.load_under().await {
            Ok(state) if state.is_unreachable() => return Err(unreachable()),
            Ok(state) => Ok(state.sessions()),
            Err(error) => Err(error),
        };
        match sessions {
            Ok(sessions) => {
                for session in sessions {
                    self.end_one(&session).await?;
                }
            }
            // It cannot be read, and must not keep its client out.
            Err(error) if error.kind() == ErrorKind::Corrupt => self.discard_damaged().await?,
            Err(error) => return Err(error),
        }
        self.state().ended(next);
        Ok(())
    }

    async fn end_one(&self, session: &Snapshot) -> Result<(), Error> {
        let shared = &self.0.shared;
        let Backend::Store(store) = &shared.backend else {
            shared.tell(EventKind::Destroyed, session.id, session.record.principal());
            return Ok(());
        };
        // The response of its login has arrived, so the session before the login does not come back. The session itself ends
        // last: a logout that is cut off can be done again with its token.
        if let Some(old) = session.record.identity.awaits() {
            store.end_frozen(old, None).await?;
        }
        let siblings = store.siblings(session).await?;
        for session in siblings.iter().chain([session]) {
            if store.end(session).await? {
                shared.tell(EventKind::Destroyed, session.id, session.record.principal());
            }
        }
        Ok(())
    }

    async fn discard_damaged(&self) -> Result<(), Error> {
        let (shared, given) = (&self.0.shared, self.chosen().token.clone());
        let Backend::Store(store) = &shared.backend else { return Ok(()) };
        let context = shared.context(self.now());
        for id in shared.backend.ids(&self.0.credentials, given.as_deref(), &context) {
            match store.find(id).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(session = %shared.name, %id, error = %error.report(), "a damaged session is ended");
                    store.discard_damaged(id).await?;
                    shared.tell(EventKind::Destroyed, id, None);
                }
                found => drop(found?),
            }
        }
        Ok(())
    }
}

fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
