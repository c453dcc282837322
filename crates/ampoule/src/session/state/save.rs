//! What a save takes out of the state, and what it puts back.

use std::sync::Arc;

use ampoule_core::internal::ChangeLog;
use ampoule_core::{Error, Record};

use super::{Live, PendingSave, State, Status, deleted, too_late, unreachable};
use crate::backend::{Edit, Lineage, ended};

impl State {
    /// What a save is to do, and the changes, which are taken out until it is known what became of them. Once the response
    /// has begun no header can be sent any more.
    pub(in crate::session) fn begin_save(&mut self, has_begun: bool) -> Result<(PendingSave, ChangeLog), Error> {
        let pending = match &self.status {
            Status::Unloaded | Status::Deleted => return Err(deleted()),
            Status::Unreachable(_) => return Err(unreachable()),
            // The client has another login of the same user already, and has come with its token.
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
            return Err(too_late());
        }
        Ok((pending, std::mem::take(&mut self.changes)))
    }

    /// The device of a session of the same user, whose token came besides others, so that none counted.
    fn lineage_of_others(&self) -> Option<Lineage> {
        let principal = self.changes.principal().flatten()?;
        let other = self.others.iter().find(|other| other.record.principal() == Some(principal))?;
        Some(Lineage { device: other.device(), origin: None })
    }

    fn is_login_of(&self, principal: Option<&str>) -> bool {
        principal.is_some() && self.changes.principal() == Some(principal)
    }

    /// The record with the edit, which it stays for the request. `None` if that writes nothing after all.
    pub(in crate::session) fn next(&mut self, live: &Live, edit: &Edit<'_>) -> Result<Option<Arc<Record>>, Error> {
        let saved = &live.snapshot.record;
        let mut next = self.with_no_more(saved, edit.changes)?;
        let rotates = edit.rotate_to.is_some() && edit.may_rotate(&saved.identity);
        if !rotates && next.same_data(saved) {
            return Ok(None);
        }
        edit.stamp(Arc::make_mut(&mut next))?;
        self.see(&next);
        Ok(Some(next))
    }

    /// The record of a session that begins now, which it stays for the request until it is known whether it was saved.
    pub(in crate::session) fn first(
        &mut self,
        blank: impl FnOnce() -> Record,
        changes: &ChangeLog,
        stamp: impl FnOnce(&mut Record),
    ) -> Result<Arc<Record>, Error> {
        let new = self.saved().cloned().unwrap_or_else(|| Arc::new(blank()));
        let mut first = self.with_no_more(&new, changes)?;
        stamp(Arc::make_mut(&mut first));
        self.see(&first);
        Ok(first)
    }

    /// The record with these changes and no others. Mostly it is what the request sees; but another task may have made
    /// changes since these were taken out, which are not of this save.
    fn with_no_more(&mut self, saved: &Arc<Record>, changes: &ChangeLog) -> Result<Arc<Record>, Error> {
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

    /// What is being saved is what the request sees, unless there is more already.
    fn see(&mut self, record: &Arc<Record>) {
        if self.changes.is_empty() {
            self.view = Some(Arc::clone(record));
        }
    }

    /// Puts back changes that were not saved, before those that were made meanwhile.
    pub(in crate::session) fn restore(&mut self, unsaved: ChangeLog) {
        let newer = std::mem::replace(&mut self.changes, unsaved);
        // What was accepted once is accepted again.
        let _ = self.changes.append(newer);
        let _ = self.replay();
    }

    /// Takes note of a save, and whether it did what was asked of the secret.
    pub(in crate::session) fn saved_as(&mut self, live: Live, is_rotated: bool) -> Result<(), Error> {
        self.wrote = true;
        self.rotates &= !is_rotated;
        self.status = Status::Live(live);
        self.learned()
    }

    /// Takes note that what was asked for is saved, though nothing had to be written.
    pub(in crate::session) fn settled(&mut self, is_rotated: bool) {
        self.rotates &= !is_rotated;
        let _ = self.replay();
    }
}
