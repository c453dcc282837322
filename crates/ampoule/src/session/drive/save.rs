//! Saves a session. A request that is dropped at any await loses nothing.

use std::sync::Arc;

use ampoule_core::internal::ChangeLog;
use ampoule_core::{Error, ErrorKind, Record, SessionId, Time};
use ampoule_seal::Credential;

use crate::backend::{Edit, Fork, Lineage, LoginCandidate, Snapshot};
use crate::event::EventKind;
use crate::session::Session;
use crate::session::state::{Live, PendingSave, deleted, response_begun};

impl Session {
    /// Writes the request's changes now. A session without changes is not written; a new one is created, even if it is
    /// empty.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("theme", "dark")?;
    /// session.save().await?;
    /// assert!(session.id().await?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// When it returns `Ok`, the changes survive the death of the process, as far as the store's settings say (promise
    /// P7). A [login](Session::login) is saved as a new session, whose token the response sends to the client.
    ///
    /// # Errors
    /// Changes that were not written are kept, and a later save tries again.
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`Gone`](crate::ErrorKind::Gone) | another request ended the session; it is not created again |
    /// | [`Superseded`](crate::ErrorKind::Superseded) | its user logged in after this request had loaded it |
    /// | [`Conflict`](crate::ErrorKind::Conflict) | 64 attempts met other writers |
    /// | [`TooLarge`](crate::ErrorKind::TooLarge) | the entries exceed [`max_record_size`](crate::Options::max_record_size), or the cookie its bound |
    /// | [`Limit`](crate::ErrorKind::Limit) | a login beyond [`sessions_per_principal`](crate::Options::sessions_per_principal) |
    /// | [`Invalid`](crate::ErrorKind::Invalid) | after the response has begun, a session that is new, rotates, logs in or is kept in its own cookie: its cookie can no longer be sent |
    /// | [`Timeout`](crate::ErrorKind::Timeout) | the store did not answer in time, so the changes may have been written. A later save writes them if the session is unchanged, and is `Timeout` again otherwise, until [`reload`](Session::reload) or [`revert`](Session::revert) |
    /// | other errors of the store | |
    pub async fn save(&self) -> Result<(), Error> {
        self.note_use();
        let _io = self.io().await;
        if self.load_under().await?.is_to_confirm_first() {
            Box::pin(self.confirm()).await?;
            // A login may freeze the session before the response begins, so the token must be verified again.
            self.state().not_renewed();
        }
        let (pending, unsaved) = {
            let mut state = self.state();
            let (pending, changes) = state.begin_save(self.has_begun())?;
            (pending, Unsaved { session: self, changes })
        };
        match pending {
            PendingSave::Nothing => {
                unsaved.settled(false);
                Ok(())
            }
            PendingSave::Create(lineage) => self.create(lineage, unsaved).await,
            PendingSave::Fork => Box::pin(self.fork(unsaved)).await,
            PendingSave::Commit if self.is_cookie_sent() => Err(response_begun()),
            PendingSave::Commit => self.commit(unsaved).await,
        }
    }

    /// Whether the session is in its cookie, and the cookie has been sent.
    pub(super) fn is_cookie_sent(&self) -> bool {
        self.has_begun() && self.0.shared.backend.is_cookie()
    }

    async fn create(&self, lineage: Option<Lineage>, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let (shared, now) = (&self.0.shared, self.now());
        let credential = Credential::random();
        let is_login = unsaved.changes.forks(None);
        let record = if is_login {
            let device = lineage.map(|lineage| lineage.device);
            self.admit(unsaved.changes.principal().flatten(), device, now).await?;
            Arc::new(self.login_fork(credential, lineage, &unsaved.changes, now).record(None)?)
        } else {
            self.first_record(&credential, &unsaved.changes, now)?
        };
        let snapshot = shared.backend.create(credential, record, now).await?;
        shared.start_sweeping();
        shared.emit(EventKind::Created, snapshot.id, snapshot.record.principal());
        unsaved.saved_as(Live::new(credential, snapshot, now), true)?;
        self.trace();
        Ok(())
    }

    /// The record of a session that begins now, with the request's changes.
    fn first_record(&self, credential: &Credential, changes: &ChangeLog, now: Time) -> Result<Arc<Record>, Error> {
        self.state().first(
            || self.0.shared.blank(now),
            changes,
            |record| {
                record.accessed = now;
                record.cookie_sent = now;
                if !self.0.shared.backend.is_cookie() {
                    record.identity.current = credential.digest();
                }
            },
        )
    }

    async fn fork(&self, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let Some(live) = self.state().live().cloned() else { return Err(deleted()) };
        let (shared, now, old) = (&self.0.shared, self.now(), &live.snapshot);
        let credential = Credential::random();
        let principal = unsaved.changes.principal().unwrap_or(old.record.principal());
        self.admit(principal, Some(old.device()), now).await?;
        let snapshot = shared.backend.fork(old, &self.login_fork(credential, None, &unsaved.changes, now)).await?;
        shared.start_sweeping();
        shared.emit(EventKind::Forked { from: old.id }, snapshot.id, snapshot.record.principal());
        unsaved.saved_as(Live::new(credential, snapshot, now), true)?;
        self.trace();
        Ok(())
    }

    fn login_fork<'a>(
        &'a self,
        credential: Credential,
        lineage: Option<Lineage>,
        changes: &'a ChangeLog,
        now: Time,
    ) -> Fork<'a> {
        let shared = &self.0.shared;
        let is_cookie = shared.backend.is_cookie();
        Fork {
            changes,
            credential,
            lifetime: shared.lifetime(now),
            lineage,
            layer: &shared.layer,
            now,
            clock: &*shared.options.clock,
            is_cookie,
        }
    }

    /// Counts the principal's sessions before a login, if their number is limited.
    async fn admit(&self, principal: Option<&str>, device: Option<SessionId>, now: Time) -> Result<(), Error> {
        let shared = &self.0.shared;
        let (Some(limit), Some(store)) = (shared.options.limit(), shared.backend.store()) else { return Ok(()) };
        let Some(principal) = principal else { return Ok(()) };
        for ended in Box::pin(store.make_room(limit, &LoginCandidate { principal, device, now })).await? {
            shared.emit(EventKind::Destroyed, ended.id, Some(principal));
        }
        Ok(())
    }

    async fn commit(&self, unsaved: Unsaved<'_>) -> Result<(), Error> {
        let (live, rotates) = {
            let state = self.state();
            (state.live().cloned().ok_or_else(deleted)?, state.rotates())
        };
        let shared = &self.0.shared;
        let rotated = rotates.then(|| live.credential.rotated());
        let edit = Edit {
            rotate_to: rotated.map(|rotated| rotated.digest()),
            sends_cookie: shared.backend.is_cookie(),
            ..self.edit(&live, &unsaved.changes)
        };
        let next = self.state().next(&live, &edit)?;
        let Some(next) = next else {
            unsaved.settled(rotates);
            return Ok(());
        };
        let snapshot = self.commit_edit(&live.snapshot, next, &edit).await?;
        let current = snapshot.record.identity.current;
        let live = match rotated.filter(|_| edit.rotate_to == Some(current) && !shared.backend.is_cookie()) {
            Some(rotated) => {
                shared.emit(EventKind::Rotated, snapshot.id, snapshot.record.principal());
                Live { presented: live.presented, ..Live::new(rotated, snapshot, live.loaded) }
            }
            None => Live { snapshot, ..live },
        };
        unsaved.saved_as(live, rotates)
    }

    /// Writes an edit. From here until the store answers, it is unknown whether the edit was written.
    pub(super) async fn commit_edit(
        &self,
        base: &Snapshot,
        next: Arc<Record>,
        edit: &Edit<'_>,
    ) -> Result<Snapshot, Error> {
        self.state().in_doubt(true);
        let result = match self.0.shared.backend.commit(base, next, edit).try_now() {
            Ok(result) => result,
            // Boxed, so that futures of the memory store stay small.
            Err(later) => Box::pin(later).await,
        };
        // The written record is applied next, which settles whether the edit was written.
        result.inspect_err(|error| self.state().in_doubt(error.kind() == ErrorKind::Timeout || edit.is_in_doubt))
    }

    /// An edit of these changes alone.
    pub(super) fn edit<'a>(&self, live: &Live, changes: &'a ChangeLog) -> Edit<'a> {
        Edit {
            changes,
            now: self.now(),
            thaws: live.thaws(),
            is_in_doubt: self.state().is_in_doubt(),
            presented: if self.0.is_of_client { live.presented } else { [0; 32] },
            rotate_to: None,
            sends_cookie: false,
            confirms: false,
            grace: self.0.shared.options.rotation_grace,
        }
    }
}

/// Changes that are being saved. If the save fails or its future is dropped, they return to the session, before any
/// later changes.
pub(super) struct Unsaved<'a> {
    pub(super) session: &'a Session,
    pub(super) changes: ChangeLog,
}

impl Unsaved<'_> {
    fn saved_as(mut self, live: Live, is_rotated: bool) -> Result<(), Error> {
        drop(std::mem::take(&mut self.changes));
        self.session.state().saved_as(live, is_rotated)
    }

    fn settled(mut self, is_rotated: bool) {
        drop(std::mem::take(&mut self.changes));
        self.session.state().settled(is_rotated);
    }
}

impl Drop for Unsaved<'_> {
    fn drop(&mut self) {
        if !self.changes.is_empty() {
            self.session.state().restore(std::mem::take(&mut self.changes));
        }
    }
}
