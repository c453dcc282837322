//! The folder: where things lie in it, and whether it is ours.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ampoule_core::{Error, ErrorKind, StoreKey, Tag};

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
            Ok(folder)
        };
        open().map_err(|error| Error::new(error.kind(), format!("sessions in {}", path.display())).because(error))
    }

    fn claim(&self) -> Result<(), Error> {
        let marker = self.root.join("ampoule-store");
        match fs::read_to_string(&marker) {
            Ok(text) if text == MARKER => return Ok(()),
            Ok(_) => {
                return Err(Error::new(ErrorKind::Config, "the folder is of a format that this version does not know"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unavailable("cannot be read")(error)),
        }
        if self.holds_something_else().map_err(unavailable("cannot be read"))? {
            let message =
                "the folder is not empty and holds no `ampoule-store`: choose a folder of its own for sessions";
            return Err(Error::new(ErrorKind::Config, message));
        }
        // Renamed into place, so that a process that starts at the same time reads the marker whole.
        let write = || -> io::Result<()> {
            let (temporary, mut file) = self.temporary(&self.root)?;
            file.write_all(MARKER.as_bytes())?;
            fs::rename(temporary, &marker)
        };
        write().map_err(unavailable("cannot be written"))
    }

    /// Whether the folder has files that another process that is just opening it would not have made.
    fn holds_something_else(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let ours = ["records", "locks", "tags", "ampoule-store"].iter().any(|ours| name == *ours);
            if !ours && !name.to_string_lossy().starts_with(TEMPORARY) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of all records whose key starts with this byte.
    pub(crate) fn shard(&self, first: u8) -> PathBuf {
        self.root.join("records").join(format!("{first:02x}"))
    }

    pub(crate) fn record(&self, key: StoreKey) -> PathBuf {
        self.shard(key.as_bytes()[0]).join(hex(key.as_bytes()))
    }

    pub(crate) fn lock(&self, line: usize) -> PathBuf {
        self.root.join("locks").join(format!("{line:02x}"))
    }

    pub(crate) fn tags(&self) -> PathBuf {
        self.root.join("tags")
    }

    pub(crate) fn tag(&self, tag: Tag) -> PathBuf {
        self.tags().join(hex(tag.as_bytes()))
    }

    /// A new file of a name that nobody else has.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<(PathBuf, File)> {
        let path = folder.join(format!("{TEMPORARY}{:016x}", random()?));
        let file = private().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }
}

/// Lower-case hexadecimal: some file systems do not tell capitals apart.
fn hex(bytes: &[u8]) -> String {
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

/// The error for a failure of the file system: `Full` if it has no room, `Unavailable` otherwise.
pub(crate) fn unavailable(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |cause| {
        let full = matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Unavailable };
        Error::new(kind, format!("the session folder {what}")).because(cause)
    }
}
