//! Which writer may change a folder of records: one at a time for each of the 256, in this process and among all.
//!
//! The lock is on the folder of the records itself. A lock file beside it could be removed by a program that cleans up
//! old files, and made again by another process: then two writers would hold the lock. A folder that holds a record, or
//! one that is being written, cannot be removed. One that is empty can, so a writer compares the folder that it has
//! locked with the one at the path: when it has the lock, and again when its new file is in the folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey};

use crate::files::{Files, MAX_TRIES};
#[cfg(unix)]
use crate::folder::open_folder;
use crate::folder::unavailable;
use crate::turns::{Lock, Locked, Turn};

impl Files {
    /// The whole lock, for work that runs on a thread that may block.
    pub(crate) fn blocking_lock(&self, key: StoreKey) -> Result<Lock, Error> {
        let limit = self.options.lock_wait;
        self.lock(self.turns.blocking_turn(key, limit).ok_or_else(|| timeout(limit))?)
    }

    /// Waits until no other process writes in this folder.
    ///
    /// A process that was stopped while it held a lock must not hang all others for ever (promise P10). The limit counts
    /// from when the turn was asked for, so that all that queue behind one that waits in vain give up with it, rather
    /// than one after another.
    pub(crate) fn lock(&self, turn: Turn) -> Result<Lock, Error> {
        let shard = self.folder.shard(turn.first);
        let mut pause = Duration::from_micros(20);
        loop {
            let locked = self.try_lock(&shard).map_err(unavailable("has a folder that cannot be locked"))?;
            if let Some(folder) = locked {
                return Ok(Lock { folder: Locked(folder), turn });
            }
            if turn.asked.elapsed() >= self.options.lock_wait {
                return Err(timeout(self.options.lock_wait));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    /// The lock of another folder than the one that it was, which is gone.
    pub(crate) fn lock_again(&self, lock: Lock) -> Result<Lock, Error> {
        let Lock { folder, turn } = lock;
        drop(folder);
        self.lock(turn)
    }

    /// The folder of a shard is made when it is missed. One that a cleaner removes is made again at once: after a pause it
    /// would be removed already.
    fn try_lock(&self, shard: &Path) -> io::Result<Option<File>> {
        for _ in 0..MAX_TRIES {
            let folder = match self.open_to_lock(shard) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make_shard(shard)?;
                    continue;
                }
                folder => folder?,
            };
            match folder.try_lock() {
                Ok(()) if self.is_at(&folder, shard)? => return Ok(Some(folder)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// It may be removed again at once, as long as it is empty.
    fn make_shard(&self, shard: &Path) -> io::Result<()> {
        match self.folder.make(shard).and_then(|()| self.sync(&self.folder.records())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            made => made,
        }
    }

    #[cfg(unix)]
    fn open_to_lock(&self, shard: &Path) -> io::Result<File> {
        open_folder(shard)
    }

    /// Elsewhere a folder cannot be locked, and a file that is open cannot be removed and made again.
    #[cfg(not(unix))]
    fn open_to_lock(&self, shard: &Path) -> io::Result<File> {
        shard.metadata()?;
        crate::folder::private().write(true).create(true).truncate(false).open(shard.with_extension("lock"))
    }

    /// Whether the folder that is locked is the one in which files are made.
    pub(crate) fn holds(&self, lock: &Lock) -> io::Result<bool> {
        self.is_at(&lock.folder.0, &self.folder.shard(lock.turn.first))
    }

    #[cfg(unix)]
    fn is_at(&self, folder: &File, path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let locked = folder.metadata()?;
        match path.symlink_metadata() {
            Ok(there) => Ok((there.dev(), there.ino()) == (locked.dev(), locked.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(unix))]
    fn is_at(&self, _: &File, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

fn timeout(limit: Duration) -> Error {
    let message =
        format!("another process has held a lock of the session folder, or removed it again and again, for {limit:?}");
    Error::new(ErrorKind::Timeout, message)
}
