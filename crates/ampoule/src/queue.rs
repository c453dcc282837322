//! Where the writers of one session in one process stand in line, so that they do not run into each other's versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ampoule_core::StoreKey;
use tokio::sync::{Mutex, MutexGuard};

/// Sessions share this many lines. Two that meet in one wait for each other's writes and lose nothing else.
const LINES: usize = 1_024;

/// The lines in which writers stand.
#[derive(Clone)]
pub(crate) struct Queue(Arc<[Line]>);

#[derive(Default)]
struct Line {
    turn: Mutex<()>,
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
        Turn { _held: line.turn.lock().await, writes: &line.writes }
    }

    fn line(&self, key: StoreKey) -> &Line {
        let [first, second, ..] = *key.as_bytes();
        &self.0[usize::from(u16::from_le_bytes([first, second])) % LINES]
    }
}

/// The right to write the sessions of one line.
pub(crate) struct Turn<'a> {
    _held: MutexGuard<'a, ()>,
    writes: &'a AtomicU64,
}

impl Turn<'_> {
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Counts a write, and says how many there are now.
    pub(crate) fn wrote(&self) -> u64 {
        self.writes.fetch_add(1, Ordering::AcqRel) + 1
    }
}
