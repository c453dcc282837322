//! Who may write: one line for each of 256 groups of keys, in this process and among all.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, StoreKey};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::folder::{Folder, private, unavailable};

const LINES: usize = 256;

/// The lock files, each opened when it is first needed and then kept.
///
/// The writers of this process wait for their turn without a thread; only who has it asks the file for the lock, so
/// that processes, not tasks, contend for it.
pub(crate) struct Locks {
    lines: Vec<Arc<Mutex<Line>>>,
    limit: Duration,
}

pub(crate) struct Line {
    path: PathBuf,
    file: Option<File>,
}

/// A writer's turn among those of this process.
pub(crate) struct Turn {
    line: OwnedMutexGuard<Line>,
    asked: Instant,
}

/// The right to write the keys of one line, among all processes. Ends when it is dropped, or its process dies.
pub(crate) struct Lock(OwnedMutexGuard<Line>);

impl Locks {
    /// Who waits for longer than `limit` gives up: a process that was stopped while it held a lock must not hang all
    /// others for ever (promise P10).
    pub(crate) fn new(folder: &Folder, limit: Duration) -> Locks {
        let line = |index| Arc::new(Mutex::new(Line { path: folder.lock(index), file: None }));
        Locks { lines: (0..LINES).map(line).collect(), limit }
    }

    pub(crate) async fn turn(&self, key: StoreKey) -> Turn {
        let asked = Instant::now();
        Turn { line: Arc::clone(self.line(key)).lock_owned().await, asked }
    }

    /// The whole lock, for work that runs on a thread that may block.
    pub(crate) fn blocking_lock(&self, key: StoreKey) -> Result<Lock, Error> {
        let asked = Instant::now();
        self.lock(Turn { line: Arc::clone(self.line(key)).blocking_lock_owned(), asked })
    }

    fn line(&self, key: StoreKey) -> &Arc<Mutex<Line>> {
        &self.lines[line_index(key)]
    }

    /// Waits until no other process writes in this line.
    ///
    /// The limit counts from when the turn was asked for, so that all who queue behind one that waits in vain give up
    /// with it, rather than one after another.
    pub(crate) fn lock(&self, turn: Turn) -> Result<Lock, Error> {
        let Turn { mut line, asked } = turn;
        let mut pause = Duration::from_micros(20);
        while !line.try_lock()? {
            if asked.elapsed() >= self.limit {
                let message = format!("another process has held a lock of the session folder for {:?}", self.limit);
                return Err(Error::new(ErrorKind::Timeout, message));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        Ok(Lock(line))
    }
}

/// By the first byte, which is random in every key; the last ones may be the same in all.
fn line_index(key: StoreKey) -> usize {
    usize::from(key.as_bytes()[0])
}

impl Line {
    fn try_lock(&mut self) -> Result<bool, Error> {
        let open = || private().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open().map_err(unavailable("has a lock file that cannot be opened"))?),
        };
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(unavailable("has a lock file that cannot be locked")(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.0.file
            && file.unlock().is_err()
        {
            // Closing a file unlocks it too.
            self.0.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::SessionId;

    use super::*;

    /// A session's key is 16 random bytes and 16 that are the same in all of them; a cache's is a digest.
    #[test]
    fn keys_of_every_kind_are_spread_over_all_lines() {
        let digest = |number: u32| StoreKey::digest(&number.to_be_bytes());
        let session = |number| StoreKey::from(SessionId::new(*digest(number).as_bytes().first_chunk().unwrap()));
        let kinds: [&dyn Fn(u32) -> StoreKey; 2] = [&session, &digest];
        for key in kinds {
            let mut found = [0_u32; LINES];
            (0..25_600).for_each(|number| found[line_index(key(number))] += 1);
            assert!(found.iter().all(|number| (50..150).contains(number)), "{found:?}");
        }
    }
}
