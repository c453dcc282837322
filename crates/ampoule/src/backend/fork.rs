//! A login: a new session under a new id, and the session before it, frozen until the login is confirmed.
//!
//! 1. Put the fork, which names the old session and carries its data.
//! 2. Freeze the old session by a conditional put. On a conflict load it again, rebuild the fork, and repeat, so that
//!    every acknowledged write is in the fork. The login takes effect here.
//! 3. When a request sends the fork's token, the old session becomes a tombstone, and the fork is confirmed.
//!
//! A response that is lost between 2 and 3 loses nothing: after the grace, a save thaws the old session.

use std::sync::Arc;

use ampoule_core::internal::{ChangeLog, Identity, Text};
use ampoule_core::{Clock, Error, ErrorKind, Lifetime, PutMode, PutResult, Record, SessionId, Time};
use ampoule_seal::Credential;

use super::edit::Edit;
use super::snapshot::{Ended, Lineage, Read, Snapshot, ended, gone};
use super::store::{MAX_ATTEMPTS, StoreBackend};
use crate::inspect::{gave_up, pause};

/// A login that is to be saved as a new session.
pub(crate) struct Fork<'a> {
    /// The request's changes, including the login.
    pub(crate) changes: &'a ChangeLog,
    /// The id and secret of the new session.
    pub(crate) credential: Credential,
    /// The deadlines of a session that begins now.
    pub(crate) lifetime: Lifetime,
    /// Where the login comes from, if not from a live session.
    pub(crate) lineage: Option<Lineage>,
    pub(crate) layer: &'a Text,
    pub(crate) now: Time,
    /// The clock by which the freeze ends.
    pub(crate) clock: &'a dyn Clock,
    pub(crate) is_cookie: bool,
}

impl Fork<'_> {
    fn id(&self) -> SessionId {
        SessionId::new(self.credential.id())
    }

    /// The record of the login. It carries the data of an anonymous session, or of a session of the same principal;
    /// over another user's session it starts empty.
    pub(crate) fn record(&self, old: Option<&Snapshot>) -> Result<Record, Error> {
        let mut record = match old.map(|old| &old.record).filter(|old| self.carries(old)) {
            None => Record::new(self.now, self.lifetime, self.layer.clone()),
            Some(old) => {
                let mut record = Record::clone(old);
                record.lifetime = old.lifetime.restarted(self.lifetime, self.now);
                record.authenticated_at = None;
                record.form_token = None;
                record
            }
        };
        self.changes.apply(&mut record)?;
        record.accessed = self.now;
        record.cookie_sent = self.now;
        record.identity = self.identity(old);
        Ok(record)
    }

    fn carries(&self, old: &Record) -> bool {
        let principal = old.principal();
        principal.is_none() || self.changes.principal().is_none_or(|new| new == principal)
    }

    fn identity(&self, old: Option<&Snapshot>) -> Identity {
        let lineage = self.lineage.or_else(|| old.map(Lineage::of));
        let device = lineage.map(|lineage| lineage.device).filter(|device| *device != self.id());
        if self.is_cookie {
            return Identity { device, ..Identity::default() };
        }
        let origin = lineage.and_then(|lineage| lineage.origin);
        Identity { current: self.credential.digest(), device, is_unconfirmed: true, origin, ..Identity::default() }
    }
}

impl StoreBackend {
    /// Puts the fork and freezes the old session.
    ///
    /// # Errors
    /// `Gone` if the old session or the fork was ended meanwhile, in a way that ends the login too; `Superseded` if
    /// another login of the same user ended it. After a `Timeout` the login may have taken effect; its client is not
    /// told, and can use the old token again after the grace.
    pub(crate) async fn fork(&self, old: &Snapshot, fork: &Fork<'_>) -> Result<Snapshot, Error> {
        let mut guard = self.within_limit(async { Ok(self.locks.lock(old.key()).await) }).await?;
        let mut old = guard.latest.take().filter(|_| guard.writes() != old.writes).unwrap_or_else(|| old.clone());
        let mut written = self.write_fork(fork, Some(&old), None).await?;
        for attempt in 0..MAX_ATTEMPTS {
            let frozen = self.frozen(&old.record, fork.clock.now());
            match self.put_record(old.id, &frozen, PutMode::Replace(old.version), fork.now).await {
                Ok(PutResult::Stored(version)) => {
                    guard.wrote(&old, frozen, version, old.deadline);
                    return Ok(written);
                }
                Ok(PutResult::Conflict) => {}
                Err(error) => return self.remove_fork(&written, error).await,
            }
            pause(attempt).await;
            let rebuilt = match self.read(old.id).await {
                Ok(Some(Read::Session(newer))) => {
                    old = newer;
                    self.write_fork(fork, Some(&old), Some(&written)).await
                }
                Ok(found) => return self.fork_of_nothing(fork, &old, found, &written).await,
                Err(error) => Err(error),
            };
            written = match rebuilt {
                Ok(written) => written,
                Err(error) => return self.remove_fork(&written, error).await,
            };
        }
        self.remove_fork(&written, gave_up(MAX_ATTEMPTS)).await
    }

    /// Continues a login whose old session ended meanwhile. If that session had a principal, or another login of the
    /// same principal replaced it, this login ends too; otherwise it continues with its own request's changes.
    async fn fork_of_nothing(
        &self,
        fork: &Fork<'_>,
        old: &Snapshot,
        found: Option<Read>,
        written: &Snapshot,
    ) -> Result<Snapshot, Error> {
        let forked_for = match found {
            Some(Read::Ended(Ended { forked_for, .. })) => forked_for,
            _ => None,
        };
        let by_the_same = forked_for.is_some() && forked_for.as_deref() == written.record.principal();
        if by_the_same || old.record.principal().is_some() {
            return self.remove_fork(written, ended(forked_for.as_deref())).await;
        }
        match self.write_fork(&Fork { lineage: Some(Lineage::of(old)), ..*fork }, None, Some(written)).await {
            Err(error) => self.remove_fork(written, error).await,
            rebuilt => rebuilt,
        }
    }

    /// The record of the login. If the data of an anonymous session does not fit, it is left out: an attacker may have
    /// planted it, and it must not prevent a login.
    fn fork_record(&self, fork: &Fork<'_>, old: Option<&Snapshot>) -> Result<Arc<Record>, Error> {
        let record = fork.record(old)?;
        let Some(old) = old.filter(|old| old.record.principal().is_none() && record.data_len() > self.rules.max_size)
        else {
            return Ok(Arc::new(record));
        };
        tracing::warn!(session = %old.id, "a login does not carry the data of its visitor: the record would be too large");
        let emptied = Snapshot { record: Arc::new(old.record.emptied()), ..old.clone() };
        fork.record(Some(&emptied)).map(Arc::new)
    }

    /// Writes the fork's record: creates it, or replaces what this login wrote before.
    async fn write_fork(
        &self,
        fork: &Fork<'_>,
        old: Option<&Snapshot>,
        written: Option<&Snapshot>,
    ) -> Result<Snapshot, Error> {
        let record = self.fork_record(fork, old)?;
        let Some(written) = written else { return self.create(fork.credential, record, fork.now).await };
        match self.put_record(written.id, &record, PutMode::Replace(written.version), fork.now).await? {
            PutResult::Stored(version) => {
                Ok(Snapshot { version, deadline: record.deadline(), record, ..written.clone() })
            }
            // It was revoked before its client received it.
            PutResult::Conflict => Err(gone()),
        }
    }

    /// The frozen record of the old session. Concurrent requests can read it, and save nothing to it. The freeze of
    /// another login is never shortened.
    fn frozen(&self, old: &Record, now: Time) -> Arc<Record> {
        let mut frozen = old.clone();
        frozen.accessed = now;
        frozen.identity.frozen_until = old.identity.frozen_until.max(Some(now + self.rules.grace));
        Arc::new(frozen)
    }

    /// Removes the written fork after an error, since its client will not be told of it.
    async fn remove_fork<T>(&self, written: &Snapshot, error: Error) -> Result<T, Error> {
        if error.kind() != ErrorKind::Timeout
            && let Err(error) = self.remove_written(written).await
        {
            tracing::warn!(session = %written.id, error = %error.report(), "the record of a failed login could not be removed");
        }
        Err(error)
    }

    /// Confirms a fork whose token a request sent: ends the old session, then writes the confirmation. Both can be
    /// repeated; in this order, the next request repairs a crash between them.
    pub(crate) async fn confirm(&self, fork: &Snapshot, edit: &Edit<'_>) -> Result<Snapshot, Error> {
        if let Some(old) = fork.record.identity.awaits() {
            self.end_frozen(old, fork.record.principal()).await?;
        }
        let mut next = Record::clone(&fork.record);
        edit.stamp(&mut next)?;
        self.commit(fork, Arc::new(next), edit).await
    }

    /// Ends the session that a login forked from, unless it has thawed: then its client continues to use it. If that
    /// session is itself an unconfirmed login, the session before it ends first.
    pub(crate) async fn end_frozen(&self, old: SessionId, forked_for: Option<&str>) -> Result<(), Error> {
        let mut chain: Vec<Snapshot> = Vec::new();
        let mut next = Some(old);
        while let Some(id) = next
            && let Some(found) = self.find_frozen(id).await?
        {
            next = found.record.identity.awaits();
            chain.push(found);
        }
        for found in chain.into_iter().rev() {
            self.end_if_frozen(found, forked_for).await?;
        }
        Ok(())
    }

    async fn find_frozen(&self, id: SessionId) -> Result<Option<Snapshot>, Error> {
        Ok(self.find(id).await?.filter(|found| found.record.identity.frozen_until.is_some()))
    }

    async fn end_if_frozen(&self, mut found: Snapshot, forked_for: Option<&str>) -> Result<(), Error> {
        for attempt in 0..MAX_ATTEMPTS {
            if self.put_tombstone(&found, forked_for).await? {
                return Ok(());
            }
            pause(attempt).await;
            let Some(newer) = self.find_frozen(found.id).await? else { return Ok(()) };
            found = newer;
        }
        Err(gave_up(MAX_ATTEMPTS))
    }
}
