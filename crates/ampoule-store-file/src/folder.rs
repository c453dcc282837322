//! The folder: what is where in it, and whether it is ours.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ampoule_core::internal::folders::{inherit_owner, make_private_folder};
use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

/// What the marker says. Another format will have another number.
const MARKER: &str = "ampoule file store 1\n";

/// What is in the folder besides the marker.
const PARTS: [&str; 2] = ["records", "tags"];

/// Files of this prefix are being written, or were when their writer died.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// The paths of a store.
pub(crate) struct Folder {
    root: PathBuf,
    /// Whether this process is root's and the folder another user's, whose files must be too.
    is_lent: bool,
}

impl Folder {
    /// Makes the folder if there is none, and refuses one that is something else's: sweeping it would delete files.
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        let open = || -> Result<Folder, Error> {
            make_private_folder(path).map_err(unavailable("cannot be made"))?;
            let root = path.canonicalize().map_err(unavailable("cannot be found"))?;
            let mut folder = Folder { root, is_lent: true };
            folder.claim()?;
            for part in PARTS {
                make_private_folder(&folder.root.join(part)).map_err(unavailable("cannot be written"))?;
            }
            folder.is_lent = false;
            folder.is_lent = folder.probe().map_err(unavailable("cannot be written"))?;
            Ok(folder)
        };
        open().map_err(|error| error.about(format_args!("sessions in {}", path.display())))
    }

    fn claim(&self) -> Result<(), Error> {
        if self.is_marked_ours()? {
            return Ok(());
        }
        // Another process may just have made it ours, and parts in it.
        if self.holds_something_but(&[]).map_err(unavailable("cannot be read"))? && !self.is_marked_ours()? {
            let message =
                "the folder is not empty and holds no `ampoule-store`: choose a folder of its own for sessions";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.write_marker().map_err(unavailable("cannot be written"))
    }

    /// Renamed into place, so that a process that starts at the same time reads the marker whole.
    fn write_marker(&self) -> io::Result<()> {
        let (temporary, mut file) = self.temporary(&self.root)?;
        file.write_all(MARKER.as_bytes())?;
        file.sync_all()?;
        fs::rename(temporary, self.marker())
    }

    /// Makes a folder in this one. Where this one was removed while it was in use, it comes back with its marker, without
    /// which the next start would refuse it.
    pub(crate) fn make(&self, path: &Path) -> io::Result<()> {
        self.mark_again()?;
        make_private_folder(path)
    }

    /// Makes the marker anew, where a program that cleans up old files has removed it.
    pub(crate) fn mark_again(&self) -> io::Result<()> {
        match self.marker().symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            marker => return marker.map(drop),
        }
        make_private_folder(&self.root)?;
        if self.holds_something_but(&PARTS)? && !self.marker().try_exists()? {
            return Err(io::Error::other("its place is taken by a folder of something else"));
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
            _ => Err(Error::new(ErrorKind::Config, "the folder is of a format that this version does not know")),
        }
    }

    fn holds_something_but(&self, parts: &[&str]) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(TEMPORARY) && !parts.contains(&&*name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether files that are made here must be given to another user. An error if none can be made.
    fn probe(&self) -> io::Result<bool> {
        let (path, file) = self.temporary(&self.root)?;
        let is_lent = is_of_another(&file.metadata()?, &self.root.metadata()?);
        fs::remove_file(path)?;
        Ok(is_lent)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// The folder of all records whose key starts with this byte.
    pub(crate) fn shard(&self, first: u8) -> PathBuf {
        self.records().join(format!("{first:02x}"))
    }

    pub(crate) fn record(&self, key: StoreKey) -> PathBuf {
        self.shard(key.as_bytes()[0]).join(hex(key.as_bytes()))
    }

    /// The folder of all tags that start with this byte.
    pub(crate) fn tag_shard(&self, first: u8) -> PathBuf {
        self.root.join("tags").join(format!("{first:02x}"))
    }

    /// The folder of the marks of all records with this tag.
    pub(crate) fn tag(&self, tag: Tag) -> PathBuf {
        self.tag_shard(tag.as_bytes()[0]).join(hex(tag.as_bytes()))
    }

    /// A new file whose name is not taken.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<(PathBuf, File)> {
        let path = folder.join(format!("{TEMPORARY}{:016x}", random()?));
        let file = self.create(&path)?;
        Ok((path, file))
    }

    /// Makes a file. What root makes belongs to the owner of the folder, who could not use it otherwise.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        let file = private().write(true).create_new(true).open(path)?;
        if self.is_lent {
            inherit_owner(path);
        }
        Ok(file)
    }
}

/// Lower-case hexadecimal: some file systems do not tell capitals apart. These ten lines are no reason for a dependency.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`hex`] wrote.
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

/// Options for files that are ours alone, and that are what they seem: a link in their place is not followed.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

/// A handle of a folder, to lock it.
#[cfg(unix)]
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path)
}

#[cfg(unix)]
fn is_of_another(file: &Metadata, folder: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.uid() != folder.uid()
}

#[cfg(not(unix))]
fn is_of_another(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Makes sure that what was made, renamed or removed in a folder outlives a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and the file system writes its journal by itself.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The last second that a time of 32 bits can tell (in 2106). A later deadline, as "never", is hinted at by this one,
/// since many file systems know no year 9999.
const LAST_HINT: Time = Time::from_millis(u32::MAX as u64 * 1_000);

/// The modification time that a file of this deadline is given, so that a sweep need not read it before.
pub(crate) fn hint_for(deadline: Time) -> Time {
    deadline.min(LAST_HINT)
}

/// Sets the modification time. Without it a sweep reads the file in vain, and nothing else is lost.
pub(crate) fn set_hint(file: &File, deadline: Time) {
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::from(hint_for(deadline))));
}

/// When a file says that it is to be read. It may lie: a copy has the time of its copying.
pub(crate) fn hint_of(metadata: &Metadata) -> Time {
    metadata.modified().map_or(Time::ZERO, Time::from)
}

/// The error for a failure of the file system: `Full` if it has no room, `Unavailable` otherwise.
pub(crate) fn unavailable(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |cause| {
        let full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Unavailable };
        Error::new(kind, format!("the session folder {what}")).because(cause)
    }
}
