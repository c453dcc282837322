//! Ampoule sessions in a folder of files: the default store, and one that needs no server.
//!
//! Any number of processes on one machine may share the folder. Reads take no lock; each write locks one of 256 lock
//! files, writes a file of a temporary name and renames it over the old one, so that a reader sees a record whole, and
//! a process that is killed leaves either the old or the new one.
//!
//! ```text
//! <folder>/
//!   ampoule-store    names the format; a folder without it that is not empty is refused
//!   records/ab/…     one file a session: 256 folders by the key's first byte, names of 64 hexadecimal digits
//!   locks/ab         256 lock files, never more
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
//! Not for network file systems: locks and renames are not reliable on all of them. Beaker's file store locks loading
//! and saving apart, and so loses updates; it never syncs, and leaves a lock file for each session for ever.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod files;
mod folder;
mod format;
mod locks;
mod options;
mod places;
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

use self::files::Files;
use self::folder::Folder;
pub use self::options::FileOptions;

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
pub struct FileStore(Arc<Files>);

impl FileStore {
    /// Opens the folder, and makes it if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is a folder of something else, [`ErrorKind::Unavailable`] if it cannot be read and
    /// written.
    pub fn open(path: impl AsRef<Path>, options: FileOptions) -> Result<FileStore, Error> {
        let folder = Folder::open(path.as_ref())?;
        Ok(FileStore(Arc::new(Files::new(folder, options))))
    }

    /// Runs a job on a thread that may block. If the caller goes away the job ends all the same, whole.
    fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Files) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        let files = Arc::clone(&self.0);
        Reply::new(async move {
            let done = tokio::task::spawn_blocking(move || job(&files)).await;
            done.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "the file store's work was broken off").because(cause)
            })?
        })
    }
}

impl Store for FileStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.blocking(move |files| files.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.put(&files.locks.lock(turn)?, key, &entry, mode)).await
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.touch(&files.locks.lock(turn)?, key, version, lifetime)).await
        })
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.delete(&files.locks.lock(turn)?, key)).await
        })
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.blocking(move |files| files.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        let cursor = cursor.map(str::to_owned);
        self.blocking(move |files| files.scan(cursor.as_deref(), budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.blocking(move |files| files.sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async move {
            write_and_read_back(self).await?;
            Ok(self.0.options.clock.now())
        })
    }

    fn describe(&self) -> String {
        let durability = self.0.options.durability.name();
        format!("files in {} (durability {durability})", self.0.folder.root().display())
    }
}

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileStore({})", self.describe())
    }
}
