//! Who may write: one line for each of 256 groups of keys, in this process and among all.

use std::fs::{File, TryLockError};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, StoreKey};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::folder::{Folder, private, unavailable};

const LINES: usize = 256;

/// A process that was stopped while it held a lock must not hang all others for ever (promise P10).
const LIMIT: Duration = Duration::from_secs(5);

/// The lock files, each opened when it is first needed and then kept.
///
/// The writers of this process wait for their turn without a thread; only who has it asks the file for the lock, so
/// that processes, not tasks, contend for it.
pub(crate) struct Locks {
    lines: Vec<Arc<Mutex<Line>>>,
}

pub(crate) struct Line {
    path: PathBuf,
    file: Option<File>,
}

/// A writer's turn among those of this process.
pub(crate) type Turn = OwnedMutexGuard<Line>;

/// The right to write the keys of one line, among all processes. Ends when it is dropped, or its process dies.
pub(crate) struct Lock(Turn);

impl Locks {
    pub(crate) fn new(folder: &Folder) -> Locks {
        let line = |index| Arc::new(Mutex::new(Line { path: folder.lock(index), file: None }));
        Locks { lines: (0..LINES).map(line).collect() }
    }

    pub(crate) async fn turn(&self, key: StoreKey) -> Turn {
        Arc::clone(self.line(key)).lock_owned().await
    }

    /// The whole lock, for work that runs on a thread that may block.
    pub(crate) fn blocking_lock(&self, key: StoreKey) -> Result<Lock, Error> {
        self.lock(Arc::clone(self.line(key)).blocking_lock_owned())
    }

    fn line(&self, key: StoreKey) -> &Arc<Mutex<Line>> {
        &self.lines[usize::from(key.as_bytes()[0])]
    }

    /// Waits until no other process writes in this line.
    pub(crate) fn lock(&self, mut turn: Turn) -> Result<Lock, Error> {
        let Line { path, file } = &mut *turn;
        let open = || private().read(true).write(true).create(true).truncate(false).open(&*path);
        let file = match file {
            Some(file) => file,
            None => file.insert(open().map_err(unavailable("has a lock file that cannot be opened"))?),
        };
        let started = Instant::now();
        let mut pause = Duration::from_micros(20);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(turn)),
                Err(TryLockError::Error(error)) => {
                    return Err(unavailable("has a lock file that cannot be locked")(error));
                }
                Err(TryLockError::WouldBlock) if started.elapsed() > LIMIT => {
                    let message = format!("another process has held a lock of the session folder for {LIMIT:?}");
                    return Err(Error::new(ErrorKind::Timeout, message));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }
}

impl Deref for Lock {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.0
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
