//! Ampoule sessions in a folder of files: the default store, which needs no server.
//!
//! Any number of processes on one machine may share the folder. Reads take no lock. A write locks one of 256 folders,
//! writes a temporary file and renames it over the old one, so that a reader sees a record whole, and a process that is
//! killed leaves either the old or the new record. There are no lock files, which a program that cleans up could remove
//! while they are in use. At most 112 files and folders are open at once, and at rest only the folder that a sweep has
//! reached.
//!
//! ```text
//! <folder>/
//!   ampoule-store    names the format; a folder without it that is not empty is refused
//!   records/ab/…     one file a session: 256 folders by the key's first byte, names of 64 hexadecimal digits
//!   tags/cd/…/ab…    an empty file for each session that has a tag, in a folder for each tag
//! ```
//!
//! The deadline is in the file. [`touch`](Store::touch) overwrites it there, under the lock, and does not write the
//! data. It is stored twice, so that a torn write leaves the earlier one. A touch does not wait for the disk, whatever
//! the [`Durability`]: a loss of power can shorten a session by some minutes.
//!
//! A file's modification time is set to its deadline as well, as a hint for the sweep that decides nothing: a copy
//! without times (`cp -r`, an archive, a restored backup) loses no session. If the modification time is wrong:
//!
//! - In the past: the next sweep reads the file, finds that the session is live, and corrects the time.
//! - In the future, although the deadline has passed: the session is absent for every reader. Its file stays until a
//!   sweep happens to read it: besides the files that are due, each round reads a 256th of all others, so 256 rounds of
//!   one process read every file.
//! - A damaged file is an error for its readers. It is removed 30 days after its modification time, and can be
//!   inspected until then.
//!
//! A file's name is derived from the session's id, which is not a secret. No text from a client reaches the file
//! system, and nothing in the folder can be used as a cookie. Folders have mode 0700 and files 0600.
//!
//! All files belong to the owner of the folder, even if root creates them, as a tool does that an operator runs before
//! the site has started. A folder that root creates gets the owner of the folder above it. A folder that is removed
//! while it is in use is created again with its marker. Only a file that does not exist counts as absent; one that
//! cannot be reached, because of a missing permission or a fault of the disk, is an error.
//!
//! Each process reads the machine's clock; all processes that share a folder are on one machine, so they agree. If the
//! clock is set forward by an hour, sessions end an hour early. If it is set back, they end an hour late; this includes
//! a session that had expired by the clock before its user logged out, since that logout found no session to end.
//!
//! A sweep examines files for at most 4 ms and continues in its next call, so that it occupies no thread and no lock
//! for long.
//!
//! Do not use it on network file systems: locks and renames are not reliable on all of them, and NFS cannot lock
//! folders. Beaker's file store locks loading and saving separately, and so loses updates; it never syncs, and never
//! removes the lock file of a session.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod files;
mod folder;
mod format;
mod locks;
mod options;
mod process_locks;
mod progress;
mod scan;
mod sweep;
mod tags;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use ampoule_core::Durability;
use ampoule_core::{
    Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
    write_and_read_back,
};
use tokio::sync::Semaphore;

use self::files::Files;
use self::folder::Folder;
pub use self::options::FileOptions;
use self::process_locks::ProcessGuard;

/// A store of sessions in a folder.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// use ampoule_store_file::{Durability, FileOptions, FileStore};
///
/// let store = FileStore::open(&path, FileOptions { durability: Durability::Power, ..FileOptions::default() })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Files are read and written on tokio's threads for blocking work, so a disk that hangs blocks no other request.
#[derive(Clone)]
pub struct FileStore {
    files: Arc<Files>,
    limits: Limits,
}

/// How many operations run at once. Each has at most four files or folders open, which makes 112 in all: a process of
/// macOS has 256 handles, and a service needs most of them for connections.
#[derive(Clone)]
struct Limits {
    readers: Arc<Semaphore>,
    /// Operations that hold a process lock. They are separate from the readers, since one may have to wait for another
    /// process.
    writers: Arc<Semaphore>,
    /// Operations that read many files.
    tools: Arc<Semaphore>,
}

impl FileStore {
    /// Opens the folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the folder belongs to something else, [`ErrorKind::Unavailable`] if it cannot be read
    /// and written.
    pub fn open(path: impl AsRef<Path>, options: FileOptions) -> Result<FileStore, Error> {
        let folder = Folder::open(path.as_ref())?;
        let limit = |count| Arc::new(Semaphore::new(count));
        let limits = Limits { readers: limit(32), writers: limit(16), tools: limit(4) };
        Ok(FileStore { files: Arc::new(Files::new(folder, options)), limits })
    }

    /// Runs a job on a thread that may block. The job runs to its end even if the caller is cancelled.
    fn blocking<T: Send + 'static>(
        &self,
        limit: &Arc<Semaphore>,
        job: impl FnOnce(&Files) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        let (files, limit) = (Arc::clone(&self.files), Arc::clone(limit));
        Reply::new(async move {
            let job_failed = || Error::new(ErrorKind::Unavailable, "an operation of the file store was aborted");
            let permit = limit.acquire_owned().await.map_err(|cause| job_failed().because(cause))?;
            let work = move || {
                let _permit = permit;
                job(&files)
            };
            tokio::task::spawn_blocking(work).await.map_err(|cause| job_failed().because(cause))?
        })
    }

    /// Runs a job once its writer holds the process lock of the key.
    fn write<T: Send + 'static>(
        &self,
        key: StoreKey,
        job: impl FnOnce(&Files, ProcessGuard) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Reply::new(async move {
            let guard = self.files.process_locks.acquire(key).await;
            self.blocking(&self.limits.writers, move |files| job(files, guard)).await
        })
    }
}

impl Store for FileStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.blocking(&self.limits.readers, move |files| files.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.write(key, move |files, guard| files.put(guard, key, &entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.write(key, move |files, guard| files.touch(&files.lock(guard)?, key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.write(key, move |files, guard| files.delete(&files.lock(guard)?, key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.blocking(&self.limits.tools, move |files| files.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        let cursor = cursor.map(str::to_owned);
        self.blocking(&self.limits.tools, move |files| files.scan(cursor.as_deref(), budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.blocking(&self.limits.tools, move |files| files.sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            Ok(self.files.options.clock.now())
        })
    }

    fn describe(&self) -> String {
        let durability = self.files.options.durability.name();
        format!("files in {} (durability {durability})", self.files.folder.root().display())
    }
}

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileStore({})", self.describe())
    }
}
