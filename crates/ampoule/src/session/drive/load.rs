//! Loads, reloads and ends a session.

use std::pin::Pin;
use std::sync::MutexGuard;

use ampoule_core::{Error, ErrorKind, Record, SessionId};

use crate::backend::{Backend, Lineage, Lookup, Outcome, Snapshot};
use crate::event::EventKind;
use crate::options::OutagePolicy;
use crate::session::Session;
use crate::session::state::{State, unreachable};

/// A lookup that waits for the store.
type Later<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl Session {
    /// Loads the session, if it is not loaded, and counts as a use. The returned state is locked.
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
            // Another task of this request may have loaded it.
            if self.loaded().is_none() {
                later.await?;
            }
            return Ok(self.state());
        }
        // The time of the first lookup is too old after a wait.
        drop(later);
        let _io = self.io().await;
        self.load_under().await
    }

    /// Loads the session, if it is not loaded. The caller holds the I/O lock.
    pub(super) async fn load_under(&self) -> Result<MutexGuard<'_, State>, Error> {
        if let Some(state) = self.loaded() {
            return Ok(state);
        }
        if let Some(later) = self.look_up()? {
            later.await?;
        }
        Ok(self.state())
    }

    /// The locked state, if the session is loaded.
    fn loaded(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.is_loaded())
    }

    /// Starts the lookup; `None` if the store answered at once. The rest is boxed, so that futures of the memory store
    /// stay small.
    fn look_up(&self) -> Result<Option<Later<'_>>, Error> {
        self.check_cookie()?;
        let (shared, given) = (&self.0.shared, self.chosen().token.clone());
        let reply = shared.backend.load(&self.0.credentials, given.as_deref(), &shared.context(self.now()));
        match reply.try_now() {
            Ok(looked_up) => self.apply_lookup(looked_up).map(|()| None),
            Err(later) => Ok(Some(Box::pin(async { self.apply_lookup(later.await) }))),
        }
    }

    fn apply_lookup(&self, looked_up: Result<Lookup, Error>) -> Result<(), Error> {
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
        // Called without the state's lock, since the hook is the application's code.
        for (kind, id) in events.into_iter().filter(|_| decides) {
            self.report(kind, id);
        }
        Ok(())
    }

    /// Reports what the tokens of a request indicate: to the audit hook and, if it may be an attack, to the log.
    fn report(&self, kind: EventKind, id: SessionId) {
        let shared = &self.0.shared;
        let warning = match kind {
            EventKind::Replayed => {
                "a request sent a token that was replaced by a newer one, which has been used: it may be stolen"
            }
            EventKind::Conflicting => "a request sent the tokens of two sessions, so neither counts",
            _ => "",
        };
        if !warning.is_empty() {
            tracing::warn!(session = %shared.name, %id, "{warning}");
        }
        shared.emit(kind, id, None);
    }

    /// Loads the session again, with the changes that other requests have saved, and returns whether it is still alive.
    /// Unsaved changes are kept and applied on top.
    ///
    /// For requests that last: call it between the messages of a WebSocket or the events of a stream. A session that
    /// was ended, or replaced by a login, stays ended: it is empty, and saving it returns [`ErrorKind::Gone`]. If
    /// another request rotates the token, this session continues.
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
            // Another login has frozen it; the session may still thaw.
            Some(_) => {
                state
                    .ended_elsewhere(self.0.shared.blank(self.now()), Lineage { device: known.device(), origin: None });
                Ok(false)
            }
            None => {
                state.ended_elsewhere(self.0.shared.blank(self.now()), Lineage::of(&known));
                Ok(false)
            }
        }
    }

    /// Ends every session whose token the request sent: first the selected one, then the others.
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
            // It cannot be read, and must not lock its client out.
            Err(error) if error.kind() == ErrorKind::Corrupt => self.discard_damaged().await?,
            Err(error) => return Err(error),
        }
        self.state().ended(next);
        Ok(())
    }

    async fn end_one(&self, session: &Snapshot) -> Result<(), Error> {
        let shared = &self.0.shared;
        let Backend::Store(store) = &shared.backend else {
            shared.emit(EventKind::Destroyed, session.id, session.record.principal());
            return Ok(());
        };
        // The response of its login has arrived, so the session before the login must not thaw. The session itself ends
        // last, so that an interrupted logout can be repeated with its token.
        if let Some(old) = session.record.identity.awaits() {
            store.end_frozen(old, None).await?;
        }
        let siblings = store.siblings(session).await?;
        for session in siblings.iter().chain([session]) {
            if store.end(session).await? {
                shared.emit(EventKind::Destroyed, session.id, session.record.principal());
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
                    shared.emit(EventKind::Destroyed, id, None);
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
