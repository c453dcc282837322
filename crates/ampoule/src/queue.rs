//! Where the writers of one session in one process stand in line, so that they do not run into each other's versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ampoule_core::{Record, StoreKey, Version};
use tokio::sync::{Mutex, MutexGuard};

use crate::protocol::Found;

/// Sessions share this many lines. Two that meet in one wait for each other's writes and lose nothing else.
const LINES: usize = 1_024;

/// The lines in which writers stand.
#[derive(Clone)]
pub(crate) struct Queue(Arc<[Line]>);

#[derive(Default)]
struct Line {
    /// What the last writer left for whoever waited behind him.
    turn: Mutex<Option<Found>>,
    waiting: AtomicUsize,
    writes: AtomicU64,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue((0..LINES).map(|_| Line::default()).collect())
    }

    /// How many writes this process has made in this session's line. Who comes to his turn and finds more than when
    /// he loaded can spare himself a write that would conflict.
    pub(crate) fn writes(&self, key: StoreKey) -> u64 {
        self.line(key).writes.load(Ordering::Acquire)
    }

    /// Waits for this session's turn. It ends when the returned guard is dropped, also by a cancelled request.
    pub(crate) async fn turn(&self, key: StoreKey) -> Turn<'_> {
        let line = self.line(key);
        let _waiting = Waiting::behind(line);
        Turn::begins(line, line.turn.lock().await, key)
    }

    /// This session's turn, if nobody else stands there.
    pub(crate) fn try_turn(&self, key: StoreKey) -> Option<Turn<'_>> {
        let line = self.line(key);
        line.turn.try_lock().ok().map(|left| Turn::begins(line, left, key))
    }

    fn line(&self, key: StoreKey) -> &Line {
        let [first, second, ..] = *key.as_bytes();
        &self.0[usize::from(u16::from_le_bytes([first, second])) % LINES]
    }
}

/// The right to write the sessions of one line.
pub(crate) struct Turn<'a> {
    left: MutexGuard<'a, Option<Found>>,
    /// This session as the writer before has just written it, if there was one and it was the same session. The store
    /// may have a newer one by another process, and then refuses the version.
    pub(crate) latest: Option<Found>,
    line: &'a Line,
}

impl<'a> Turn<'a> {
    fn begins(line: &'a Line, mut left: MutexGuard<'a, Option<Found>>, key: StoreKey) -> Turn<'a> {
        let latest = left.take().filter(|found| found.key == key);
        Turn { left, latest, line }
    }

    pub(crate) fn writes(&self) -> u64 {
        self.line.writes.load(Ordering::Acquire)
    }

    /// Counts a write of what lay there `before`, and leaves what was written to whoever waits. Where nobody does, nothing
    /// is kept.
    pub(crate) fn wrote(mut self, before: &Found, record: Arc<Record>, version: Version) -> Found {
        let seen = self.line.writes.fetch_add(1, Ordering::AcqRel) + 1;
        let (key, moved, deadline) = (before.key, before.moved, record.deadline());
        let found = Found { key, version, deadline, record, moved, seen };
        if self.line.waiting.load(Ordering::Acquire) > 0 {
            *self.left = Some(found.clone());
        }
        found
    }
}

/// Somebody who stands in a line, until he has his turn or goes away.
struct Waiting<'a>(&'a Line);

impl Waiting<'_> {
    fn behind(line: &Line) -> Waiting<'_> {
        line.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(line)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
