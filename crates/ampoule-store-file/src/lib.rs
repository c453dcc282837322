//! Ampoule sessions in a folder of files: the default store, and one that needs no server.
//!
//! Any number of processes on one machine may share the folder. Reads take no lock; each write locks one of 256 folders,
//! writes a file of a temporary name and renames it over the old one, so that a reader sees a record whole, and a process
//! that is killed leaves either the old or the new one. There are no lock files, which a program that cleans up could
//! remove under a writer. At most 112 files and folders are open at once, and none at rest
//! but the one that a sweep is at.
//!
//! ```text
//! <folder>/
//!   ampoule-store    names the format; a folder without it that is not empty is refused
//!   records/ab/…     one file a session: 256 folders by the key's first byte, names of 64 hexadecimal digits
//!   tags/cd/…/ab…    an empty file for each session that has a tag, in a folder for each tag
//! ```
//!
//! The deadline is in the file. [`touch`](Store::touch) overwrites it there, under the lock, and writes no data. It stands
//! there twice, so that a write that is torn leaves the earlier one: a touch is not waited for until the disk has it,
//! whatever the [`Durability`], and what may be lost with the power is some minutes of a session's life.
//!
//! A file's modification time is set to its deadline too, as a hint for the sweep, and never decides: a copy without times
//! (`cp -r`, an archive, a restored backup) loses nothing. What holds of a time that lies:
//!
//! - In the past: the next sweep reads the file, finds that it lives, and sets the time right.
//! - In the future, though the deadline has passed: the session is absent for every reader all the same. Its file stays
//!   until a sweep reads it by chance: each round reads a 256th of all files besides those whose time has come, so 256
//!   rounds of one process read them all.
//! - A damaged file is an error for its readers, and goes 30 days after its time; until then it can be looked at.
//!
//! A name is made of the session's handle, which is no secret. No text from a client reaches the file system, and what is
//! in the folder is of no use as a cookie (promise P8). Folders have mode 0700 and files 0600.
//!
//! What is in the folder belongs to the owner of the folder, also what root makes, such as a tool that an operator runs
//! before the site has started: a folder that root makes gets the owner of the folder above it. A folder that vanishes
//! while it is in use comes back with its marker. Only what is not there is an absence; what cannot be reached, for want
//! of a right or by a fault of the disk, is an error.
//!
//! The clock is that of the machine, read by each process. All that share a folder are on one machine, so they agree; when
//! its clock is set forward by an hour, sessions end an hour early, and when it is set back, an hour late: also one that
//! had expired by the clock before its user logged out, since that logout found nothing to end.
//!
//! A sweep looks at files for 4 ms at most and continues in its next call, so it holds no thread and no lock for long.
//!
//! Not for network file systems: locks and renames are not reliable on all of them, and NFS locks no folder at all. Beaker's file store locks loading
//! and saving apart, and so loses updates; it never syncs, and leaves a lock file for each session for ever.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod files;
mod folder;
mod format;
mod locks;
mod options;
mod progress;
mod scan;
mod sweep;
mod tags;
mod turns;

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
use self::turns::Turn;

/// Sessions in a folder.
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

/// How many operations run at once, of which each has at most four files or folders open: 112 in all. A process of macOS
/// has 256 handles, and its service needs most of them for connections.
#[derive(Clone)]
struct Limits {
    readers: Arc<Semaphore>,
    /// Those that have a turn. One may have to wait for another process, so that they are apart from the readers.
    writers: Arc<Semaphore>,
    /// Those that go through many files.
    tools: Arc<Semaphore>,
}

impl FileStore {
    /// Opens the folder, and makes it if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is a folder of something else, [`ErrorKind::Unavailable`] if it cannot be read and
    /// written.
    pub fn open(path: impl AsRef<Path>, options: FileOptions) -> Result<FileStore, Error> {
        let folder = Folder::open(path.as_ref())?;
        let limit = |count| Arc::new(Semaphore::new(count));
        let limits = Limits { readers: limit(32), writers: limit(16), tools: limit(4) };
        Ok(FileStore { files: Arc::new(Files::new(folder, options)), limits })
    }

    /// Runs a job on a thread that may block. If the caller goes away the job ends all the same, whole.
    fn blocking<T: Send + 'static>(
        &self,
        limit: &Arc<Semaphore>,
        job: impl FnOnce(&Files) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        let (files, limit) = (Arc::clone(&self.files), Arc::clone(limit));
        Reply::new(async move {
            let broken_off = || Error::new(ErrorKind::Unavailable, "the file store's work was broken off");
            let permit = limit.acquire_owned().await.map_err(|cause| broken_off().because(cause))?;
            let work = move || {
                let _permit = permit;
                job(&files)
            };
            tokio::task::spawn_blocking(work).await.map_err(|cause| broken_off().because(cause))?
        })
    }

    /// Runs a job when it is the turn of a writer of the key.
    fn write<T: Send + 'static>(
        &self,
        key: StoreKey,
        job: impl FnOnce(&Files, Turn) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Reply::new(async move {
            let turn = self.files.turns.turn(key).await;
            self.blocking(&self.limits.writers, move |files| job(files, turn)).await
        })
    }
}

impl Store for FileStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.blocking(&self.limits.readers, move |files| files.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.write(key, move |files, turn| files.put(turn, key, &entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.write(key, move |files, turn| files.touch(&files.lock(turn)?, key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.write(key, move |files, turn| files.delete(&files.lock(turn)?, key))
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
