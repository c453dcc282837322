//! The end of the request: saves, confirms and renews.

use std::collections::HashSet;
use std::sync::Arc;

use ampoule_core::internal::ChangeLog;
use ampoule_core::{Error, ErrorKind, Record, SessionId};
use http::{HeaderMap, StatusCode};

use crate::backend::{Backend, Edit, LoginCandidate, Snapshot, StoreBackend};
use crate::event::EventKind;
use crate::options::{Limit, SessionLimitPolicy};
use crate::session::Session;
use crate::session::state::due::Renewal;
use crate::session::state::{Live, State};

/// How often a token is verified again while other requests write.
const MAX_ATTEMPTS: u32 = 64;

impl Session {
    /// Ends the request without a future if no store call is needed, as for all requests that only read.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "the layer alone takes it"))]
    pub(crate) fn finish_now(&self, headers: &mut HeaderMap) -> Option<Result<(), Error>> {
        let state = self.state();
        let rules = self.renewal(&state);
        if self.is_used() && self.has_work(&state, &rules) {
            return None;
        }
        self.begin_response();
        Some(self.respond(&state, &rules, headers))
    }

    /// Ends the request. If a write fails, the headers still tell the client of the writes that succeeded.
    pub(crate) async fn finish(&self, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Error> {
        if !self.is_touched() {
            self.begin_response();
            return Ok(());
        }
        let written = if self.is_used() { self.write_pending(status).await } else { Ok(()) };
        self.begin_response();
        let state = self.state();
        self.respond(&state, &self.renewal(&state), headers)?;
        written
    }

    fn has_work(&self, state: &State, rules: &Renewal<'_>) -> bool {
        state.is_changed()
            || (self.0.is_of_client && state.to_confirm().is_some())
            || state.to_renew(rules).is_some()
            || state.to_touch(rules).is_some()
    }

    /// Writes what the store lacks: changes, a confirmation, the new idle deadline.
    async fn write_pending(&self, status: StatusCode) -> Result<(), Error> {
        let saves = self.0.shared.options.auto_save && !status.is_server_error();
        if saves && !self.state().is_unreachable() && self.state().is_changed() {
            self.save().await?;
        }
        self.warn_if_unsaved(status);
        let _io = self.io().await;
        self.confirm().await?;
        // The request succeeded without it, so a failure is only logged.
        match self.renew().await {
            Err(error) if error.kind() != ErrorKind::Superseded => {
                tracing::warn!(session = %self.0.shared.name, error = %error.report(), "the idle deadline or the cookie of a session could not be renewed");
            }
            _ => {}
        }
        Ok(())
    }

    /// A failed request's changes are meant to be lost; in any other request, unsaved changes are a mistake.
    fn warn_if_unsaved(&self, status: StatusCode) {
        let state = self.state();
        if state.is_changed() && !status.is_client_error() && !status.is_server_error() {
            let (session, changes) = (&self.0.shared.name, state.changes());
            tracing::warn!(
                session,
                ?changes,
                "a session was changed and never saved: call save(), or set Options::auto_save (`auto` in settings)"
            );
        }
    }

    /// Confirms the session's new secret or login when the client first sends its token.
    pub(super) async fn confirm(&self) -> Result<(), Error> {
        let live = self.state().to_confirm().filter(|_| self.0.is_of_client).cloned();
        let (Some(live), Backend::Store(store)) = (live, &self.0.shared.backend) else { return Ok(()) };
        let limit = self.0.shared.options.limit().filter(|_| live.snapshot.record.identity.is_unconfirmed);
        let (Some(limit), Some(principal)) = (limit, live.snapshot.record.principal()) else {
            return self.confirm_alone(store, &live).await.map(drop);
        };
        let login = LoginCandidate { principal, device: Some(live.snapshot.device()), now: self.now() };
        let before = match store.check_limit(limit, &login).await {
            Err(error) if error.kind() == ErrorKind::Limit => return self.end_beyond_limit(store, &live, error).await,
            Err(error) => {
                tracing::warn!(session = %self.0.shared.name, error = %error.report(), "the sessions of a login could not be counted");
                return Ok(());
            }
            Ok(before) => before,
        };
        let Some(own) = self.confirm_alone(store, &live).await? else { return Ok(()) };
        self.keep_limit(store, limit, &login, &before, &own).await
    }

    /// Returns the confirmed session; `None` if the next request must try again.
    async fn confirm_alone(&self, store: &StoreBackend, live: &Live) -> Result<Option<Snapshot>, Error> {
        let nothing = ChangeLog::default();
        let edit = Edit { confirms: true, ..self.edit(live, &nothing) };
        let confirmed = match store.confirm(&live.snapshot, &edit).await {
            Ok(confirmed) => confirmed,
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::Superseded | ErrorKind::Gone) {
                    tracing::warn!(session = %self.0.shared.name, error = %error.report(), "a new token could not be confirmed");
                }
                return Ok(None);
            }
        };
        let mut state = self.state();
        state.refreshed(confirmed.clone())?;
        state.verified();
        Ok(Some(confirmed))
    }

    /// Ends a login that is first presented after other devices have reached the limit.
    async fn end_beyond_limit(&self, store: &StoreBackend, live: &Live, error: Error) -> Result<(), Error> {
        let login = &live.snapshot;
        store.end(login).await?;
        if let Some(old) = login.record.identity.awaits() {
            store.end_frozen(old, None).await?;
        }
        self.0.shared.emit(EventKind::Destroyed, login.id, login.record.principal());
        self.state().ended(None);
        Err(error)
    }

    /// Ends the logins beyond the limit, if several were saved concurrently.
    async fn keep_limit(
        &self,
        store: &StoreBackend,
        limit: Limit,
        login: &LoginCandidate<'_>,
        before: &HashSet<SessionId>,
        own: &Snapshot,
    ) -> Result<(), Error> {
        let mut ended = Vec::new();
        // A device counts once, so of the sessions of a double click the last presented stays.
        for sibling in store.siblings(own).await? {
            if !sibling.record.identity.is_unconfirmed && store.end(&sibling).await? {
                ended.push(sibling);
            }
        }
        ended.extend(Box::pin(store.keep_limit(limit, login, before)).await?);
        for ended in &ended {
            self.0.shared.emit(EventKind::Destroyed, ended.id, Some(login.principal));
        }
        if ended.iter().all(|ended| ended.id != own.id) {
            return Ok(());
        }
        self.state().ended(None);
        match limit.policy {
            SessionLimitPolicy::Refuse => Err(limit.reached()),
            // As if the login that displaced it had arrived a moment later.
            SessionLimitPolicy::EndOldest => Ok(()),
        }
    }

    /// Moves the idle deadline when a tenth of it has passed, and verifies the client's token before it is sent again.
    async fn renew(&self) -> Result<(), Error> {
        let (renews, touches) = {
            let state = self.state();
            let rules = self.renewal(&state);
            (state.to_renew(&rules).cloned(), state.to_touch(&rules).cloned())
        };
        let Some(live) = renews.clone().or(touches) else { return Ok(()) };
        match &self.0.shared.backend {
            Backend::Cookie(_) => self.write_cookie_sent(&live).await,
            Backend::Store(_)
                if renews.is_some()
                    && self.0.shared.options.cookie.max_age(&live.snapshot.record.lifetime).is_some() =>
            {
                self.write_cookie_sent(&live).await
            }
            Backend::Store(store) if renews.is_some() => self.verify_token(store, live).await,
            Backend::Store(store) => store.touch(&live.snapshot, self.now()).await.map(drop),
        }
    }

    /// Writes the time at which the cookie is sent, which also verifies the token.
    async fn write_cookie_sent(&self, live: &Live) -> Result<(), Error> {
        let nothing = ChangeLog::default();
        let edit = Edit { sends_cookie: true, ..self.edit(live, &nothing) };
        let mut next = Record::clone(&live.snapshot.record);
        edit.stamp(&mut next)?;
        let snapshot = self.0.shared.backend.commit(&live.snapshot, Arc::new(next), &edit).await?;
        let is_still_good = !live.is_current || snapshot.record.identity.current == live.digest;
        let mut state = self.state();
        state.saved_as(Live { snapshot, ..live.clone() }, false)?;
        if is_still_good {
            state.verified();
        }
        Ok(())
    }

    /// Touches the session in the version that this request knows, which verifies the token. On a conflict it reads the
    /// session again and retries.
    async fn verify_token(&self, store: &StoreBackend, mut live: Live) -> Result<(), Error> {
        for _ in 0..MAX_ATTEMPTS {
            if store.touch(&live.snapshot, self.now()).await? {
                let mut state = self.state();
                state.refreshed(live.snapshot)?;
                state.verified();
                return Ok(());
            }
            // The newer version may be a save of this request whose answer was lost.
            if self.state().is_in_doubt() {
                return Ok(());
            }
            let Some(found) = store.find(live.snapshot.id).await? else { return Ok(()) };
            if found.record.identity.current != live.digest || found.record.identity.frozen_until.is_some() {
                return Ok(());
            }
            live.snapshot = found;
        }
        Ok(())
    }
}
