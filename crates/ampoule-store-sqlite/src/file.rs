//! The file of the database: how it is made, and whether it is still the one that was opened.
//!
//! A process continues writing into a file that was removed, and no other process finds what it has written. So the file at
//! the path is compared with the one that was opened, before each operation and after each write.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ampoule_core::internal::folders::{inherit_owner, make_private_folder};
use ampoule_core::{Error, ErrorKind};

/// What SQLite keeps beside the file while it is open.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// How often the lock of a folder is tried, 10 ms apart: others need it for less than one.
const MAX_TRIES: usize = 100;

/// A file, whatever its name: the device and the number of its inode.
type FileId = (u64, u64);

/// The file that connections lead to.
pub(crate) struct DatabaseFile {
    path: PathBuf,
    id: FileId,
    companions: [Option<FileId>; 2],
}

impl DatabaseFile {
    /// The file at a path; `None` where a file has no identity that can be compared.
    pub(crate) fn at(path: &Path) -> Option<DatabaseFile> {
        let id = id_of(path).ok().flatten()?;
        let companions = COMPANIONS.map(|suffix| id_of(&beside(path, suffix)).ok().flatten());
        Some(DatabaseFile { path: path.to_owned(), id, companions })
    }

    /// Whether it is no longer the one at its path.
    pub(crate) fn is_gone(&self) -> bool {
        match id_of(&self.path) {
            Ok(id) => id.is_some_and(|id| id != self.id),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes what SQLite kept beside it: with another file at the path, that would be taken for the other's.
    pub(crate) fn remove_companions(&self) -> io::Result<()> {
        let _lock = lock_folder(&self.path);
        for (suffix, id) in COMPANIONS.into_iter().zip(self.companions) {
            let path = beside(&self.path, suffix);
            if id.is_some() && id_of(&path).is_ok_and(|there| there == id) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The error of the operation that found it gone.
    pub(crate) fn gone(&self) -> Error {
        let path = self.path.display();
        let message = format!("the session database {path} was removed or replaced while it was in use");
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// Makes the file with mode 0600, if there is none, and the folders above it; SQLite gives its companions the same mode
/// and owner.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    let make = || -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            make_private_folder(folder)?;
        }
        // One that is there is never opened here: closing it would end the locks that SQLite holds on it in this process.
        if !path.try_exists()? {
            make_new(path)?;
        }
        Ok(())
    };
    make().map_err(|cause| {
        let message = format!("the session database {} cannot be opened", path.display());
        Error::new(ErrorKind::Unavailable, message).because(cause)
    })
}

/// Another process may just be doing the same: only one of them removes what an earlier database has left.
fn make_new(path: &Path) -> io::Result<()> {
    let _lock = lock_folder(path);
    if path.try_exists()? {
        return Ok(());
    }
    for suffix in COMPANIONS {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    inherit_owner(path);
    Ok(())
}

/// The right to make and remove files beside the database, among our own processes. Where a folder cannot be locked, or
/// another program keeps it locked, those that start at the same moment after a loss are on their own.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    for _ in 0..MAX_TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
fn id_of(path: &Path) -> io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|metadata| Some((metadata.dev(), metadata.ino())))
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn id_of(_: &Path) -> io::Result<Option<FileId>> {
    Ok(None)
}
