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
//! A file's modification time is the session's deadline, so a sweep opens no file, and moving a deadline writes no
//! data. (A copy without times ends all sessions; `cp -p` and `rsync -t` keep them.) A name is the digest of an id:
//! no text from a client reaches the file system, and who reads the folder learns no id (promise P8). Folders have mode
//! 0700 and files 0600.
//!
//! Not for network file systems: locks and renames are not reliable on all of them. Beaker's file store locks loading
//! and saving apart, and so loses updates; it never syncs, and leaves a lock file for each session for ever.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod files;
mod folder;
mod format;
mod locks;
mod scan;
mod sweep;
mod tags;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use ampoule_core::Durability;
use ampoule_core::{
    Clock, Entry, Error, ErrorKind, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, SystemClock, Tag, Time,
};

use self::files::Files;
use self::folder::Folder;

/// How a [`FileStore`] works.
#[derive(Clone)]
pub struct FileOptions {
    /// What a save has outlived when it returns. [`Durability::Process`] by default.
    pub durability: Durability,
    /// The largest value, in bytes; a larger one is [`ErrorKind::TooLarge`]. 16 MiB by default.
    pub max_value: usize,
    /// How long a writer waits for one of another process before it gives up with [`ErrorKind::Timeout`]. Writers need
    /// milliseconds, so by default it is 5 seconds: then the other hangs.
    pub lock_wait: Duration,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for FileOptions {
    fn default() -> FileOptions {
        FileOptions {
            durability: Durability::default(),
            max_value: 16 << 20,
            lock_wait: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
        }
    }
}

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

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.put(&files.locks.lock(turn)?, key, &entry, when)).await
        })
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.touch(&files.locks.lock(turn)?, key, deadline)).await
        })
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(async move {
            let turn = self.0.locks.turn(key).await;
            self.blocking(move |files| files.delete(&files.locks.lock(turn)?, key)).await
        })
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.blocking(move |files| files.tagged(tag))
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        let from = from.map(str::to_owned);
        self.blocking(move |files| files.scan(from.as_deref(), budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        self.blocking(move |files| files.sweep(budget))
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
