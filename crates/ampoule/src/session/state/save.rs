//! What a save takes out of the state, and puts back if it fails.

use std::sync::Arc;

use ampoule_core::internal::ChangeLog;
use ampoule_core::{Error, Record};

use super::{Live, PendingSave, State, Status, deleted, response_begun, unreachable};
use crate::backend::{Edit, Lineage, ended};

impl State {
    /// Returns what a save has to do, and takes out the changes until the outcome is known. Once the response has begun
    /// no header can be sent any more.
    pub(in crate::session) fn begin_save(&mut self, has_begun: bool) -> Result<(PendingSave, ChangeLog), Error> {
        let pending = match &self.status {
            Status::Unloaded | Status::Deleted => return Err(deleted()),
            Status::Unreachable(_) => return Err(unreachable()),
            // The client already has another login of the same user, and has sent its token.
            Status::Ended(_, by) if self.changes.forks(None) && !self.is_login_of(by.forked_for.as_deref()) => {
                PendingSave::Create(Some(by.lineage))
            }
            Status::Ended(_, by) => return Err(ended(by.forked_for.as_deref())),
            Status::New(_) => PendingSave::Create(self.lineage_of_others()),
            Status::Live(live) if self.changes.forks(live.snapshot.record.principal()) => PendingSave::Fork,
            Status::Live(_) if self.is_changed() => PendingSave::Commit,
            Status::Live(_) => PendingSave::Nothing,
        };
        let needs_cookie = matches!(pending, PendingSave::Create(_) | PendingSave::Fork);
        let rotates = self.rotates && matches!(pending, PendingSave::Commit);
        if has_begun && (needs_cookie || rotates) {
            return Err(response_begun());
        }
        Ok((pending, std::mem::take(&mut self.changes)))
    }

    /// The lineage of a session of the same user whose token was sent together with others, so that none was selected.
    fn lineage_of_others(&self) -> Option<Lineage> {
        let principal = self.changes.principal().flatten()?;
        let other = self.others.iter().find(|other| other.record.principal() == Some(principal))?;
        Some(Lineage { device: other.device(), origin: None })
    }

    fn is_login_of(&self, principal: Option<&str>) -> bool {
        principal.is_some() && self.changes.principal() == Some(principal)
    }

    /// Applies an edit to the record, which becomes the request's view. `None` if the edit changes nothing.
    pub(in crate::session) fn next(&mut self, live: &Live, edit: &Edit<'_>) -> Result<Option<Arc<Record>>, Error> {
        let saved = &live.snapshot.record;
        let mut next = self.with_only(saved, edit.changes)?;
        let rotates = edit.rotate_to.is_some() && edit.may_rotate(&saved.identity);
        if !rotates && next.same_data(saved) {
            return Ok(None);
        }
        edit.stamp(Arc::make_mut(&mut next))?;
        self.set_view(&next);
        Ok(Some(next))
    }

    /// The record of a session that begins now. It is the request's view until the save succeeds or fails.
    pub(in crate::session) fn first(
        &mut self,
        blank: impl FnOnce() -> Record,
        changes: &ChangeLog,
        stamp: impl FnOnce(&mut Record),
    ) -> Result<Arc<Record>, Error> {
        let new = self.saved().cloned().unwrap_or_else(|| Arc::new(blank()));
        let mut first = self.with_only(&new, changes)?;
        stamp(Arc::make_mut(&mut first));
        self.set_view(&first);
        Ok(first)
    }

    /// The record with these changes alone. Usually it is the request's view; but another task may have made changes
    /// since these were taken out, which are not part of this save.
    fn with_only(&mut self, saved: &Arc<Record>, changes: &ChangeLog) -> Result<Arc<Record>, Error> {
        if changes.is_empty() {
            return Ok(Arc::clone(saved));
        }
        if self.changes.is_empty()
            && let Some(seen) = self.view.take()
        {
            return Ok(seen);
        }
        let mut record = Record::clone(saved);
        changes.apply(&mut record)?;
        Ok(Arc::new(record))
    }

    /// Makes the record that is being saved the request's view, unless there are later changes.
    fn set_view(&mut self, record: &Arc<Record>) {
        if self.changes.is_empty() {
            self.view = Some(Arc::clone(record));
        }
    }

    /// Puts back changes that were not saved, before those that were made since.
    pub(in crate::session) fn restore(&mut self, unsaved: ChangeLog) {
        let newer = std::mem::replace(&mut self.changes, unsaved);
        // A change that was accepted once is accepted again.
        let _ = self.changes.append(newer);
        let _ = self.replay();
    }

    /// Records a save, and whether it rotated the secret.
    pub(in crate::session) fn saved_as(&mut self, live: Live, is_rotated: bool) -> Result<(), Error> {
        self.wrote = true;
        self.rotates &= !is_rotated;
        self.status = Status::Live(live);
        self.update_view()
    }

    /// Records a save that had nothing to write.
    pub(in crate::session) fn settled(&mut self, is_rotated: bool) {
        self.rotates &= !is_rotated;
        let _ = self.replay();
    }
}
