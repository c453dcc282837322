//! The folder: its layout, and whether it belongs to a store.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ampoule_core::internal::folders::{inherit_owner, make_private_folder};
use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

/// The content of the marker. Another format will have another number.
const MARKER: &str = "ampoule file store 1\n";

/// The folders beside the marker.
const PARTS: [&str; 2] = ["records", "tags"];

/// The prefix of files that are being written, or whose writer has died.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// The paths of a store.
pub(crate) struct Folder {
    root: PathBuf,
    /// Whether this process runs as root and the folder belongs to another user, who must own the files as well.
    has_other_owner: bool,
}

impl Folder {
    /// Creates the folder if it does not exist, and refuses a folder of something else: sweeping it would delete files.
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        let open = || -> Result<Folder, Error> {
            make_private_folder(path).map_err(unavailable("cannot be created"))?;
            let root = path.canonicalize().map_err(unavailable("cannot be found"))?;
            let mut folder = Folder { root, has_other_owner: true };
            folder.claim()?;
            for part in PARTS {
                make_private_folder(&folder.root.join(part)).map_err(unavailable("cannot be written"))?;
            }
            folder.has_other_owner = false;
            folder.has_other_owner = folder.probe().map_err(unavailable("cannot be written"))?;
            Ok(folder)
        };
        open().map_err(|error| error.about(format_args!("values in {}", path.display())))
    }

    fn claim(&self) -> Result<(), Error> {
        if self.is_marked_ours()? {
            return Ok(());
        }
        // Another process may just have claimed it, and created folders in it.
        if self.contains_other_than(&[]).map_err(unavailable("cannot be read"))? && !self.is_marked_ours()? {
            let message = "the folder is not empty and contains no `ampoule-store`: choose an empty folder";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.write_marker().map_err(unavailable("cannot be written"))
    }

    /// The marker is renamed into place, so that a process that starts at the same time reads it whole.
    fn write_marker(&self) -> io::Result<()> {
        let (temporary, mut file) = self.temporary(&self.root)?;
        file.write_all(MARKER.as_bytes())?;
        file.sync_all()?;
        fs::rename(temporary, self.marker())
    }

    /// Creates a folder in this one. If this one was removed while it was in use, it is created again with its marker,
    /// without which the next start would refuse it.
    pub(crate) fn make(&self, path: &Path) -> io::Result<()> {
        self.restore_marker()?;
        make_private_folder(path)
    }

    /// Creates the marker again, if a program that cleans up old files has removed it.
    pub(crate) fn restore_marker(&self) -> io::Result<()> {
        match self.marker().symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            marker => return marker.map(drop),
        }
        make_private_folder(&self.root)?;
        if self.contains_other_than(&PARTS)? && !self.marker().try_exists()? {
            return Err(io::Error::other("a folder of something else has replaced it"));
        }
        self.write_marker()
    }

    fn marker(&self) -> PathBuf {
        self.root.join("ampoule-store")
    }

    fn is_marked_ours(&self) -> Result<bool, Error> {
        match fs::read_to_string(self.marker()) {
            Ok(text) if text == MARKER => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(unavailable("cannot be read")(error)),
            _ => Err(Error::new(ErrorKind::Config, "the folder has a format that this version does not support")),
        }
    }

    fn contains_other_than(&self, parts: &[&str]) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(TEMPORARY_PREFIX) && !parts.contains(&&*name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether new files must be given to another user. It is an error if none can be created.
    fn probe(&self) -> io::Result<bool> {
        let (path, file) = self.temporary(&self.root)?;
        let has_other_owner = differs_in_owner(&file.metadata()?, &self.root.metadata()?);
        fs::remove_file(path)?;
        Ok(has_other_owner)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// Returns the folder of all records whose key starts with this byte.
    pub(crate) fn shard(&self, first: u8) -> PathBuf {
        self.records().join(format!("{first:02x}"))
    }

    pub(crate) fn record(&self, key: StoreKey) -> PathBuf {
        self.shard(key.as_bytes()[0]).join(hex(key.as_bytes()))
    }

    /// Returns the folder of all tags that start with this byte.
    pub(crate) fn tag_shard(&self, first: u8) -> PathBuf {
        self.root.join("tags").join(format!("{first:02x}"))
    }

    /// Returns the folder of the marks of all records with this tag.
    pub(crate) fn tag(&self, tag: Tag) -> PathBuf {
        self.tag_shard(tag.as_bytes()[0]).join(hex(tag.as_bytes()))
    }

    /// Creates a file whose name is not in use.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<(PathBuf, File)> {
        let path = folder.join(format!("{TEMPORARY_PREFIX}{:016x}", random()?));
        let file = self.create(&path)?;
        Ok((path, file))
    }

    /// Creates a file. A file that root creates is given to the owner of the folder, who could not use it otherwise.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        let file = private().write(true).create_new(true).open(path)?;
        if self.has_other_owner {
            inherit_owner(path);
        }
        Ok(file)
    }
}

/// Lower-case hexadecimal, since some file systems ignore case. These ten lines do not justify a dependency.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses the output of [`hex`].
pub(crate) fn parse_key(name: &str) -> Option<StoreKey> {
    let mut bytes = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (place, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *place = u8::from_str_radix(&name[at..at + 2], 16).ok()?;
    }
    Some(StoreKey::new(bytes))
}

pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(error.to_string()))
}

/// Options for files that only their owner may use. A symbolic link in their place is not followed.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

/// Opens a folder, to lock it.
#[cfg(unix)]
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path)
}

#[cfg(unix)]
fn differs_in_owner(file: &Metadata, folder: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.uid() != folder.uid()
}

#[cfg(not(unix))]
fn differs_in_owner(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Ensures that what was created, renamed or removed in a folder survives a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    // Other systems cannot open a folder as a file, and their file systems write the journal by themselves.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The last second of a 32-bit time (in 2106). It is the hint of all later deadlines, "never" included, since many file
/// systems cannot store the year 9999.
const MAX_HINT: Time = Time::from_millis(u32::MAX as u64 * 1_000);

/// Returns the modification time for a file with this deadline, by which a sweep knows when to read it.
pub(crate) fn hint_for(deadline: Time) -> Time {
    deadline.min(MAX_HINT)
}

/// Sets the modification time. If that fails, a sweep reads the file needlessly; nothing else is lost.
pub(crate) fn set_hint(file: &File, deadline: Time) {
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::from(hint_for(deadline))));
}

/// Returns the hint of a file: when a sweep should read it. It may be wrong, since a copy has the time of its copying.
pub(crate) fn hint_of(metadata: &Metadata) -> Time {
    metadata.modified().map_or(Time::ZERO, Time::from)
}

/// Returns the error for a failure of the file system: `Full` if it has no room, `Unavailable` otherwise.
pub(crate) fn unavailable(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |cause| {
        let full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Unavailable };
        Error::new(kind, format!("the store's folder {what}")).because(cause)
    }
}
