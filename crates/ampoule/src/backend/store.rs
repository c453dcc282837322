//! Reads, writes and ends sessions in a store that other writers use at the same time.
//!
//! Each step is one operation of the store. Other requests, other processes and crashes may come between any two of
//! them. Nothing here knows requests or cookies.
//!
//! - **Commit**: put with the version that was loaded. On conflict load again, replay the edit, retry.
//! - **End**: put a tombstone with the version that was loaded, so that concurrent writes end too.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::{GuardedStore, Text, Tombstone};
use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, PutMode, PutResult, Record, Reply, SessionId, Store, StoreKey, SweepReport, Tag,
    Time, Watcher,
};
use ampoule_seal::{Credential, Signer, Token};

use super::edit::Edit;
use super::snapshot::{Ended, Read, Snapshot, ended, read};
use super::write_locks::{WriteGuard, WriteLocks};
use crate::inspect::{gave_up, pause, put_tombstone};
use crate::observe;

/// How often a conflict is retried before the caller gets the error.
pub(super) const MAX_ATTEMPTS: u32 = 64;

/// A store, and the locks that serialize the writers of this process.
pub(crate) struct StoreBackend {
    pub(super) store: Arc<GuardedStore>,
    pub(super) signer: Signer,
    pub(super) locks: WriteLocks,
    /// The name of the layer, which is in its records.
    pub(super) layer: Text,
    pub(super) rules: StoreRules,
}

/// The options that concern records in a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreRules {
    pub(crate) max_size: usize,
    /// How long a replaced secret and an ended session are remembered.
    pub(crate) grace: Duration,
    /// How long a writer may wait for other writers and for the store, together.
    pub(crate) limit: Option<Duration>,
}

/// A record that is being put.
struct PendingPut<'a> {
    record: Arc<Record>,
    result: Reply<'a, PutResult>,
}

impl StoreBackend {
    pub(crate) fn new(store: GuardedStore, signer: Signer, layer: Text, rules: StoreRules) -> StoreBackend {
        StoreBackend { store: Arc::new(store), signer, locks: WriteLocks::new(), layer, rules }
    }

    /// The guarded store.
    pub(crate) fn inner(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    pub(crate) async fn ping(&self) -> Result<Time, Error> {
        self.store.ping().await
    }

    pub(crate) fn describe(&self) -> String {
        self.store.describe()
    }

    pub(crate) fn sign(&self, credential: &Credential) -> Token {
        self.signer.sign(credential)
    }

    /// The session with this id, without a check of a secret.
    pub(crate) async fn find(&self, id: SessionId) -> Result<Option<Snapshot>, Error> {
        match self.read(id).await? {
            Some(Read::Session(snapshot)) => Ok(Some(snapshot)),
            Some(Read::Ended(_)) | None => Ok(None),
        }
    }

    /// Whether the session with this id is live, and no login has replaced it.
    pub(crate) async fn lives(&self, id: SessionId) -> Result<bool, Error> {
        Ok(self.find(id).await?.is_some_and(|found| found.record.identity.frozen_until.is_none()))
    }

    /// A watcher of the store's changes, if the store reports them.
    pub(crate) fn watch(&self) -> Option<Box<dyn Watcher>> {
        self.store.watch()
    }

    /// Reads the record of this id.
    pub(super) async fn read(&self, id: SessionId) -> Result<Option<Read>, Error> {
        let writes = self.locks.writes(id.into());
        match self.store.get(id.into()).await? {
            Some(stored) => read(id, stored, writes, &self.layer),
            None => Ok(None),
        }
    }

    /// Writes a new session.
    pub(crate) fn create(&self, credential: Credential, record: Arc<Record>, now: Time) -> Reply<'_, Snapshot> {
        let id = SessionId::new(credential.id());
        let put = match self.put(id, record, PutMode::Create, now) {
            Ok(put) => put,
            Err(error) => return Reply::ready(Err(error)),
        };
        let (record, writes) = (put.record, self.locks.writes(id.into()));
        put.result.map(move |result| match result? {
            PutResult::Stored(version) => Ok(Snapshot { id, version, deadline: record.deadline(), record, writes }),
            // The probability is 1 in 2^128, so the random generator is broken, and to continue would be fixation.
            PutResult::Conflict => Err(Error::new(ErrorKind::Conflict, "a fresh random id was already in use")),
        })
    }

    /// Writes `next`, which is `base` with the edit applied; on a conflict, applies the edit to what other writers
    /// stored.
    ///
    /// # Errors
    /// `Gone` if the session no longer exists; it is not created again. `Superseded` if a login forked from it.
    pub(crate) fn commit<'a>(
        &'a self,
        base: &'a Snapshot,
        next: Arc<Record>,
        edit: &'a Edit<'a>,
    ) -> Reply<'a, Snapshot> {
        if edit.is_in_doubt {
            return Reply::new(self.commit_again(base, next, edit.now));
        }
        let Some(guard) = self.locks.try_lock(base.key()) else {
            return Reply::new(self.within_limit(async move {
                let guard = self.locks.lock(base.key()).await;
                self.retry(guard, None, base, edit).await
            }));
        };
        if guard.writes() != base.writes {
            return Reply::new(self.retry(guard, None, base, edit));
        }
        // Usually no other writer is faster, and the first attempt succeeds.
        let first = match self.put(base.id, next, PutMode::Replace(base.version), edit.now) {
            Ok(put) => put,
            Err(error) => return Reply::ready(Err(error)),
        };
        match first.result.try_now() {
            Ok(Ok(PutResult::Stored(version))) => {
                let deadline = first.record.deadline();
                Reply::ready(Ok(guard.wrote(base, first.record, version, deadline)))
            }
            Ok(Err(error)) => Reply::ready(Err(error)),
            Ok(conflict) => {
                let first = PendingPut { result: Reply::ready(conflict), ..first };
                Reply::new(self.retry(guard, Some(first), base, edit))
            }
            Err(result) => Reply::new(self.retry(guard, Some(PendingPut { result, ..first }), base, edit)),
        }
    }

    /// Repeats a write that may have succeeded, unless the session has changed: that change may be the first attempt's.
    async fn commit_again(&self, base: &Snapshot, next: Arc<Record>, now: Time) -> Result<Snapshot, Error> {
        let guard = self.within_limit(async { Ok(self.locks.lock(base.key()).await) }).await?;
        match self.put_record(base.id, &next, PutMode::Replace(base.version), now).await? {
            PutResult::Stored(version) => {
                let deadline = next.deadline();
                Ok(guard.wrote(base, next, version, deadline))
            }
            PutResult::Conflict => {
                let message = "an earlier save timed out, and the session has changed since: call reload() to see whether that save succeeded";
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    /// Writers that wait for each other share one limit: the time spent waiting for a lock counts too. A write that
    /// times out may have been done, as after any timeout.
    pub(super) async fn within_limit<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(limit) = self.rules.limit else { return work.await };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let message = format!(
                "writing the session took longer than {limit:?}, with the wait for other writers (store_timeout)"
            );
            Err(Error::new(ErrorKind::Timeout, message))
        })
    }

    /// Retries until no other writer is faster, starting with the put that is pending, if any.
    async fn retry(
        &self,
        mut guard: WriteGuard<'_>,
        mut first: Option<PendingPut<'_>>,
        base: &Snapshot,
        edit: &Edit<'_>,
    ) -> Result<Snapshot, Error> {
        // A writer under this lock was faster. If it wrote this session, its record may be here. If it wrote another
        // one, which shares the lock, this one is loaded again in vain.
        let may_be_stale = guard.writes() != base.writes;
        let mut latest = guard.latest.take().filter(|_| may_be_stale);
        let mut is_fresh = latest.is_some() || !may_be_stale;
        for attempt in 0..MAX_ATTEMPTS {
            let put = match first.take() {
                Some(first) => first,
                None => {
                    if !is_fresh {
                        latest = Some(Box::pin(self.reload(base.id, attempt)).await?);
                    }
                    let latest = latest.as_ref().unwrap_or(base);
                    let next = edit.replay(&latest.record)?;
                    self.put(base.id, next, PutMode::Replace(latest.version), edit.now)?
                }
            };
            if let PutResult::Stored(version) = put.result.await? {
                let deadline = put.record.deadline();
                return Ok(guard.wrote(base, put.record, version, deadline));
            }
            is_fresh = false;
        }
        Err(gave_up(MAX_ATTEMPTS))
    }

    /// Reads the session as another writer stored it.
    async fn reload(&self, id: SessionId, attempt: u32) -> Result<Snapshot, Error> {
        observe::conflict();
        pause(attempt).await;
        match self.read(id).await? {
            Some(Read::Session(snapshot)) => Ok(snapshot),
            Some(Read::Ended(Ended { forked_for, .. })) => Err(ended(forked_for.as_deref())),
            None => Err(ended(None)),
        }
    }

    /// Starts to put a record, if it is not too large.
    fn put(&self, id: SessionId, record: Arc<Record>, mode: PutMode, now: Time) -> Result<PendingPut<'_>, Error> {
        let (size, most) = (record.data_len(), self.rules.max_size);
        if size > most {
            let message = format!(
                "a session of {size} bytes, where {most} are allowed (Options::max_record_size, `max_size` in settings)"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let lifetime = record.effective_lifetime().remaining(now);
        let entry = Entry { value: record.encode(), lifetime, tag: record.tag() };
        let result = match record.is_unused_form() {
            true => self.store.put_evictable(id.into(), entry, mode),
            false => self.store.put(id.into(), entry, mode),
        };
        Ok(PendingPut { record, result })
    }

    /// Puts a record, if it is not too large.
    pub(super) async fn put_record(
        &self,
        id: SessionId,
        record: &Arc<Record>,
        mode: PutMode,
        now: Time,
    ) -> Result<PutResult, Error> {
        self.put(id, Arc::clone(record), mode, now)?.result.await
    }

    /// Moves the deadline of this version of the session, and returns whether the version still exists.
    pub(crate) fn touch(&self, found: &Snapshot, now: Time) -> Reply<'_, bool> {
        self.store.touch(found.key(), found.version, found.record.effective_lifetime().remaining(now))
    }

    /// Ends a session, and returns whether it was still live. When this returns, no concurrent request can bring the
    /// session back.
    pub(crate) async fn end(&self, found: &Snapshot) -> Result<bool, Error> {
        let mut current = found.clone();
        for attempt in 0..MAX_ATTEMPTS {
            if self.put_tombstone(&current, None).await? {
                return Ok(true);
            }
            pause(attempt).await;
            match self.find(found.id).await? {
                Some(newer) => current = newer,
                None => return Ok(false),
            }
        }
        Err(gave_up(MAX_ATTEMPTS))
    }

    /// Replaces this version by a tombstone, and returns whether the version still existed.
    pub(super) async fn put_tombstone(&self, found: &Snapshot, forked_for: Option<&str>) -> Result<bool, Error> {
        let tombstone = Tombstone { device: found.device(), forked_for: forked_for.map(str::to_owned) };
        put_tombstone(&*self.store, found.id, found.version, tombstone, self.rules.grace).await
    }

    /// Removes a record that cannot be read.
    pub(crate) async fn discard_damaged(&self, id: SessionId) -> Result<(), Error> {
        self.store.delete(id.into()).await.map(drop)
    }

    /// Removes a record that no client was told of, if it is still the version that was written.
    pub(super) async fn remove_written(&self, written: &Snapshot) -> Result<(), Error> {
        let nothing = Entry { value: Bytes::new(), lifetime: Duration::ZERO, tag: None };
        self.store.put(written.key(), nothing, PutMode::Replace(written.version)).await.map(drop)
    }

    pub(super) async fn keys_with_tag(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        self.store.keys_with_tag(tag).await
    }

    pub(crate) async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.store.sweep(budget).await
    }
}
