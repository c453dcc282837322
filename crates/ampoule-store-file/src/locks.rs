//! Write locks: one writer at a time in each of the 256 folders of records, in this process and among all processes.
//!
//! The lock is on the folder of the records itself. A lock file beside it could be removed by a program that cleans up
//! old files, and created again by another process: then two writers would hold the lock. A folder that contains a
//! record, or one that is being written, cannot be removed. An empty folder can, so a writer compares the folder that
//! it has locked with the one at the path: when it has the lock, and again when its new file is in the folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey};

use crate::files::{Files, MAX_ATTEMPTS};
#[cfg(unix)]
use crate::folder::open_folder;
use crate::folder::unavailable;
use crate::process_locks::{Lock, LockedFolder, ProcessGuard};

impl Files {
    /// Acquires both locks, for work that runs on a thread that may block.
    pub(crate) fn blocking_lock(&self, key: StoreKey) -> Result<Lock, Error> {
        let limit = self.options.lock_wait;
        self.lock(self.process_locks.acquire_blocking(key, limit).ok_or_else(|| timeout(limit))?)
    }

    /// Waits until no other process writes in this folder.
    ///
    /// A process that was stopped while it held a lock must not hang all others for ever. The time limit
    /// starts when the process lock was requested, so that all writers that queue behind a hanging one give up with it,
    /// rather than one after another.
    pub(crate) fn lock(&self, guard: ProcessGuard) -> Result<Lock, Error> {
        let shard = self.folder.shard(guard.first);
        let mut pause = Duration::from_micros(20);
        loop {
            let locked = self.try_lock(&shard).map_err(unavailable("has a folder that cannot be locked"))?;
            if let Some(folder) = locked {
                return Ok(Lock { folder: LockedFolder(folder), guard });
            }
            if guard.requested.elapsed() >= self.options.lock_wait {
                return Err(timeout(self.options.lock_wait));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    /// Locks the folder that has replaced the one of this lock, which was removed.
    pub(crate) fn relock(&self, lock: Lock) -> Result<Lock, Error> {
        let Lock { folder, guard } = lock;
        drop(folder);
        self.lock(guard)
    }

    /// Creates the folder of the shard if it is missing. A folder that a cleaner removes is created again without a
    /// pause, after which it would be removed already.
    fn try_lock(&self, shard: &Path) -> io::Result<Option<File>> {
        for _ in 0..MAX_ATTEMPTS {
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

    /// The folder may be removed again at once, as long as it is empty.
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

    /// Other systems cannot lock a folder, and do not let an open file be removed and created again.
    #[cfg(not(unix))]
    fn open_to_lock(&self, shard: &Path) -> io::Result<File> {
        shard.metadata()?;
        crate::folder::private().write(true).create(true).truncate(false).open(shard.with_extension("lock"))
    }

    /// Returns whether the locked folder is the one in which files are created.
    pub(crate) fn holds(&self, lock: &Lock) -> io::Result<bool> {
        self.is_at(&lock.folder.0, &self.folder.shard(lock.guard.first))
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
        format!("another process has held a lock of the store's folder, or kept removing the folder, for {limit:?}");
    Error::new(ErrorKind::Timeout, message)
}
