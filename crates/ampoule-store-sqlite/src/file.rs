//! The file of the database: its creation, and the check that it is still the one that was opened.
//!
//! A process can write into a file that was removed, but no other process sees those writes. So the file at the path is
//! compared with the one that was opened, before each operation and after each write.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ampoule_core::internal::folders::{inherit_owner, make_private_folder};
use ampoule_core::{Error, ErrorKind};

/// The suffixes of the files that SQLite keeps beside an open database: the log and its index.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// How often the lock of a folder is tried, 10 ms apart: other processes hold it for less than 1 ms.
const MAX_ATTEMPTS: usize = 100;

/// Identifies a file independently of its name: the device and the inode.
type FileId = (u64, u64);

/// The file that connections have opened.
pub(crate) struct DatabaseFile {
    path: PathBuf,
    id: FileId,
    companions: [Option<FileId>; 2],
}

impl DatabaseFile {
    /// Returns the file at a path; `None` if this system has no ids of files to compare.
    pub(crate) fn at(path: &Path) -> Option<DatabaseFile> {
        let id = file_id(path).ok().flatten()?;
        let companions = COMPANIONS.map(|suffix| file_id(&companion_path(path, suffix)).ok().flatten());
        Some(DatabaseFile { path: path.to_owned(), id, companions })
    }

    /// Returns whether the file was removed or replaced.
    pub(crate) fn is_gone(&self) -> bool {
        match file_id(&self.path) {
            Ok(id) => id.is_some_and(|id| id != self.id),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the files that SQLite kept beside it. If another database replaces it at the path, SQLite would apply
    /// them to that one.
    pub(crate) fn remove_companions(&self) -> io::Result<()> {
        let _lock = lock_folder(&self.path);
        for (suffix, id) in COMPANIONS.into_iter().zip(self.companions) {
            let path = companion_path(&self.path, suffix);
            if id.is_some() && file_id(&path).is_ok_and(|current| current == id) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Returns the error for the operation that detected the removal.
    pub(crate) fn gone_error(&self) -> Error {
        let path = self.path.display();
        let message = format!("the store's database {path} was removed or replaced while it was in use");
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// Creates the file with mode 0600 and the folders above it, if they do not exist. SQLite gives its companions the same
/// mode and owner.
pub(crate) fn create_private_file(path: &Path) -> Result<(), Error> {
    let create = || -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            make_private_folder(folder)?;
        }
        // An existing file is not opened here: closing it would release the locks that SQLite holds on it in this
        // process.
        if !path.try_exists()? {
            create_file(path)?;
        }
        Ok(())
    };
    create().map_err(|cause| {
        let message = format!("the store's database {} cannot be opened", path.display());
        Error::new(ErrorKind::Unavailable, message).because(cause)
    })
}

/// Creates the file, and removes the companions that an earlier database has left. The lock ensures that only one
/// process does so.
fn create_file(path: &Path) -> io::Result<()> {
    let _lock = lock_folder(path);
    if path.try_exists()? {
        return Ok(());
    }
    for suffix in COMPANIONS {
        match fs::remove_file(companion_path(path, suffix)) {
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

/// Locks the folder, so that only one of our processes creates and removes files in it. Returns `None` if the folder
/// cannot be locked, or another program keeps it locked; processes that create the database at the same moment can then
/// interfere.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    for _ in 0..MAX_ATTEMPTS {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn companion_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
fn file_id(path: &Path) -> io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|metadata| Some((metadata.dev(), metadata.ino())))
}

/// Other systems do not allow an open file to be removed.
#[cfg(not(unix))]
fn file_id(_: &Path) -> io::Result<Option<FileId>> {
    Ok(None)
}
