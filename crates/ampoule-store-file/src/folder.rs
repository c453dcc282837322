//! The folder: where things lie in it, and whether it is ours.

use std::fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

/// What the marker says. Another format will have another number.
const MARKER: &str = "ampoule file store 1\n";

/// Files of this prefix are being written, or were when their writer died.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// The paths of a store.
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder if there is none, and refuses one that is something else's: sweeping it would delete files.
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        let open = || -> Result<Folder, Error> {
            make_folder(path).map_err(unavailable("cannot be made"))?;
            let root = path.canonicalize().map_err(unavailable("cannot be found"))?;
            let folder = Folder { root };
            folder.claim()?;
            for part in ["records", "locks", "tags"] {
                make_folder(&folder.root.join(part)).map_err(unavailable("cannot be written"))?;
            }
            folder.probe()?;
            Ok(folder)
        };
        open().map_err(|error| Error::new(error.kind(), format!("sessions in {}", path.display())).because(error))
    }

    fn claim(&self) -> Result<(), Error> {
        if self.is_marked_ours()? {
            return Ok(());
        }
        // Another process may just have made it ours, and parts in it.
        if self.holds_something().map_err(unavailable("cannot be read"))? && !self.is_marked_ours()? {
            let message =
                "the folder is not empty and holds no `ampoule-store`: choose a folder of its own for sessions";
            return Err(Error::new(ErrorKind::Config, message));
        }
        // Renamed into place, so that a process that starts at the same time reads the marker whole.
        let write = || -> io::Result<()> {
            let (temporary, mut file) = self.temporary(&self.root)?;
            file.write_all(MARKER.as_bytes())?;
            file.sync_all()?;
            fs::rename(temporary, self.marker())
        };
        write().map_err(unavailable("cannot be written"))
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

    fn holds_something(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            if !entry?.file_name().to_string_lossy().starts_with(TEMPORARY) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether files can be made here.
    fn probe(&self) -> Result<(), Error> {
        let write = || fs::remove_file(self.temporary(&self.root)?.0);
        write().map_err(unavailable("cannot be written"))
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

    pub(crate) fn lock(&self, line: usize) -> PathBuf {
        self.root.join("locks").join(format!("{line:02x}"))
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
        let file = private().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }
}

/// Lower-case hexadecimal: some file systems do not tell capitals apart.
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

/// Makes a folder, and those above it, for our eyes only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
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
