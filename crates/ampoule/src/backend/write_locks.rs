//! Locks that serialize the writers of one session in one process, instead of letting them conflict.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ampoule_core::{Record, StoreKey, Time, Version};
use tokio::sync::{Mutex, MutexGuard};

use super::snapshot::Snapshot;

/// The number of locks. Two sessions that share one wait for each other's writes and lose nothing else.
const LOCK_COUNT: usize = 1_024;

/// The locks. Each is created at its first use, so that a layer whose sessions are not written costs no memory for
/// them.
#[derive(Clone)]
pub(super) struct WriteLocks(Arc<[OnceLock<Box<WriteLock>>; LOCK_COUNT]>);

#[derive(Default)]
struct WriteLock {
    /// The last writer's record, for the writers that wait.
    latest: Mutex<Option<Snapshot>>,
    waiting: AtomicUsize,
    writes: AtomicU64,
}

impl WriteLocks {
    pub(super) fn new() -> WriteLocks {
        WriteLocks(Arc::new([const { OnceLock::new() }; LOCK_COUNT]))
    }

    /// How many writes this process has made under this session's lock. A writer that finds more of them than when it
    /// loaded need not try a put that would conflict.
    pub(super) fn writes(&self, key: StoreKey) -> u64 {
        self.slot(key).get().map_or(0, |lock| lock.writes.load(Ordering::Acquire))
    }

    /// Waits for the lock. It is released when the returned guard is dropped, also by a cancelled request.
    pub(super) async fn lock(&self, key: StoreKey) -> WriteGuard<'_> {
        let lock = self.of(key);
        let _waiting = Waiting::behind(lock);
        WriteGuard::new(lock, lock.latest.lock().await, key)
    }

    /// The lock, if it is free.
    pub(super) fn try_lock(&self, key: StoreKey) -> Option<WriteGuard<'_>> {
        let lock = self.of(key);
        lock.latest.try_lock().ok().map(|latest| WriteGuard::new(lock, latest, key))
    }

    fn of(&self, key: StoreKey) -> &WriteLock {
        self.slot(key).get_or_init(Box::default)
    }

    fn slot(&self, key: StoreKey) -> &OnceLock<Box<WriteLock>> {
        let [first, second, ..] = *key.as_bytes();
        &self.0[usize::from(u16::from_le_bytes([first, second])) % LOCK_COUNT]
    }
}

/// The right to write the sessions of one lock; released on drop.
pub(super) struct WriteGuard<'a> {
    kept: MutexGuard<'a, Option<Snapshot>>,
    /// The record of the previous writer, if it wrote the same session. Another process may have stored a newer one;
    /// the put then conflicts.
    pub(super) latest: Option<Snapshot>,
    lock: &'a WriteLock,
}

impl<'a> WriteGuard<'a> {
    fn new(lock: &'a WriteLock, mut kept: MutexGuard<'a, Option<Snapshot>>, key: StoreKey) -> WriteGuard<'a> {
        let latest = kept.take().filter(|snapshot| snapshot.key() == key);
        WriteGuard { kept, latest, lock }
    }

    pub(super) fn writes(&self) -> u64 {
        self.lock.writes.load(Ordering::Acquire)
    }

    /// Counts a write, and leaves its record to the next writer, if one waits.
    pub(super) fn wrote(
        mut self,
        before: &Snapshot,
        record: Arc<Record>,
        version: Version,
        deadline: Time,
    ) -> Snapshot {
        let writes = self.lock.writes.fetch_add(1, Ordering::AcqRel) + 1;
        let snapshot = Snapshot { id: before.id, version, deadline, record, writes };
        if self.lock.waiting.load(Ordering::Acquire) > 0 {
            *self.kept = Some(snapshot.clone());
        }
        snapshot
    }
}

/// A writer that waits for a lock; it is counted until it has the lock or is dropped.
struct Waiting<'a>(&'a WriteLock);

impl Waiting<'_> {
    fn behind(lock: &WriteLock) -> Waiting<'_> {
        lock.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(lock)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
