//! Saves a session. If a save is dropped at any await, its changes return to the session.
//!
//! 1. The session's I/O lock lets one save, load or end of this request run at a time.
//! 2. An untouched session is loaded. If the request is the first with the token of a login, a save that logs in or
//!    rotates confirms that login first: a tombstone for the session before it, then a put. If this fails, the save
//!    continues: the first request with the new token ends all sessions before it. Other saves leave the confirmation
//!    to the end of the request.
//! 3. The state takes the changes out of the session, and decides (`session/state/save.rs`). It may refuse without a
//!    store call: `Gone` if the session has ended, `Superseded` if a login of its user replaced it, `Unavailable` if
//!    the request continued without the store, `Invalid` if a cookie were needed and the response has begun.
//! 4. It writes. Entries larger than `max_size` are refused before each put (`TooLarge`). A session in its cookie is
//!    only checked for its size: it has no lock, version or conflict.
//!    - *Nothing*: a live session without changes.
//!    - *Create*: one put in the mode `Create`, also for a login without a session before it.
//!    - *Commit*: one put with the version; none if the record would stay the same. If another writer of this process
//!      was faster, the lock can hand over its record, and the edit is replayed on that without a load. Otherwise each
//!      conflict costs a load, from the fourth on after a pause, in up to 64 attempts (`Conflict`). A commit that has to
//!      wait for the lock has one `store_timeout` for the wait and its attempts together.
//!    - A rotation is part of a commit. It has no effect if the request's secret is not the current one, or an earlier
//!      one is still valid (`backend/edit.rs`).
//!    - *Fork*, a login from a session: `backend/fork.rs` puts the new record, then freezes the old one by a put with
//!      the old one's version. After a conflict it loads the old one, puts the new one again with its data, and repeats
//!      the freeze. If it fails, it removes the new record, except after a `Timeout`.
//!    - With `sessions_per_principal`, a login first reads its user's sessions, and ends one or is refused (`Limit`).
//! 5. After a `Timeout` of a commit, or if its future was dropped, the session is in doubt: the next commit puts with
//!    the same version, once, and is `Timeout` again if the session has changed meanwhile. `reload` and `revert` end
//!    the doubt. A create or a fork is repeated under a new id instead.
//! 6. On success the state has the new record. After an error the changes are back in the session, before any later
//!    ones. No save sends a cookie: the end of the request does. It always sends the token of a new session or a login;
//!    a rotated one only if a write after the handler found it to be current.

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
    /// Changes that were not written are kept, and a later save tries again. [`ErrorKind::for_client`] gives the status
    /// that each error is as a response.
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`Gone`](crate::ErrorKind::Gone) | the session was ended, by another request or by `delete`; it is not created again |
    /// | [`Superseded`](crate::ErrorKind::Superseded) | its user logged in after this request had loaded it |
    /// | [`Conflict`](crate::ErrorKind::Conflict) | 64 attempts met other writers, or the random id of a new session was in use |
    /// | [`TooLarge`](crate::ErrorKind::TooLarge) | the entries exceed [`max_record_size`](crate::Options::max_record_size), or the cookie its bound |
    /// | [`Limit`](crate::ErrorKind::Limit) | a login beyond [`sessions_per_principal`](crate::Options::sessions_per_principal) |
    /// | [`Invalid`](crate::ErrorKind::Invalid) | after the response has begun, a session that is new, rotates, logs in or is kept in its own cookie: its cookie can no longer be sent |
    /// | [`Timeout`](crate::ErrorKind::Timeout) | the store did not answer in time, so the changes may have been written. A later save writes a new session or a login under another id; it writes other changes if the session is unchanged, and is `Timeout` again otherwise, until [`reload`](Session::reload) or [`revert`](Session::revert) |
    /// | other errors of the store | |
    pub async fn save(&self) -> Result<(), Error> {
        self.note_use();
        let _io = self.io().await;
        if self.load_under().await?.is_to_confirm_first() {
            Box::pin(self.confirm()).await?;
            // Another request's login may freeze the session while this handler still runs.
            self.state().verify_again();
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
