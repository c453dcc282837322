//! The operations of the store, on threads that may block.

use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use ampoule_core::{Entry, Error, ErrorKind, Outcome, Put, StoreKey, Stored, Time, Version};

use crate::folder::{Folder, make_folder, private, random, unavailable};
use crate::format::{self, HEADER, Header};
use crate::locks::{Lock, Locks};
use crate::{Durability, FileOptions};

pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) options: FileOptions,
    pub(crate) locks: Locks,
    /// Where the next sweep goes on.
    pub(crate) swept_to: AtomicUsize,
}

impl Files {
    pub(crate) fn new(folder: Folder, options: FileOptions) -> Files {
        let locks = Locks::new(&folder);
        Files { folder, options, locks, swept_to: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        // Files that are overwritten in place are whole only while nobody writes.
        let _lock = match self.options.durability {
            Durability::None => Some(self.locks.blocking_lock(key)?),
            Durability::Process | Durability::Power => None,
        };
        let Some((mut file, deadline)) = self.open_live(key)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(512);
        file.read_to_end(&mut bytes).map_err(unavailable("cannot be read"))?;
        let (header, value) = format::decode(bytes)?;
        Ok(Some(Stored { value, version: header.version, deadline }))
    }

    /// The file of a key whose deadline has not passed, and that deadline: both of one file, even while it is replaced.
    fn open_live(&self, key: StoreKey) -> Result<Option<(File, Time)>, Error> {
        let file = match private().read(true).open(self.folder.record(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable("has a file that cannot be opened")(error)),
        };
        let metadata = file.metadata().map_err(unavailable("cannot be read"))?;
        let deadline = deadline_of(&metadata);
        Ok((deadline > self.options.clock.now()).then_some((file, deadline)))
    }

    /// The header of a key whose deadline has not passed.
    pub(crate) fn live_header(&self, key: StoreKey) -> Result<Option<Header>, Error> {
        let Some((mut file, _)) = self.open_live(key)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(HEADER);
        Read::by_ref(&mut file).take(HEADER as u64).read_to_end(&mut bytes).map_err(unavailable("cannot be read"))?;
        format::decode_header(&bytes).map(Some)
    }

    pub(crate) fn put(&self, _: &Lock, key: StoreKey, entry: &Entry, when: Put) -> Result<Outcome, Error> {
        if entry.value.len() > self.options.max_value {
            let (len, max) = (entry.value.len(), self.options.max_value);
            return Err(Error::new(ErrorKind::TooLarge, format!("a value of {len} bytes, where {max} are allowed")));
        }
        let old = self.live_header(key)?;
        let holds = match when {
            Put::Create => old.is_none(),
            Put::Replace(version) => old.is_some_and(|old| old.version == version),
            Put::Always => true,
        };
        if !holds {
            return Ok(Outcome::Conflict);
        }
        // A counter could come back when a key is deleted and made again; 64 random bits do not.
        let version = Version(random().map_err(unavailable("got no random number for a version"))?);
        if entry.deadline <= self.options.clock.now() {
            self.remove(key, old)?;
        } else {
            self.mark(key, entry)?;
            self.write(key, entry, version)?;
            self.unmark_other(key, old.and_then(|old| old.tag), entry.tag);
        }
        Ok(Outcome::Stored(version))
    }

    fn write(&self, key: StoreKey, entry: &Entry, version: Version) -> Result<(), Error> {
        let bytes = format::encode(Header { version, tag: entry.tag }, &entry.value);
        let path = self.folder.record(key);
        let shard = self.folder.shard(key.as_bytes()[0]);
        let write = || match self.options.durability {
            Durability::None => overwrite(&path, &bytes, entry.deadline),
            durability => self.replace(&shard, &path, &bytes, entry.deadline, durability == Durability::Power),
        };
        // The folder of a shard is made when it is first missed.
        let written = match write() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(&shard).and_then(|()| write()),
            written => written,
        };
        written.map_err(unavailable("cannot be written"))
    }

    fn replace(&self, shard: &Path, path: &Path, bytes: &[u8], deadline: Time, sync: bool) -> io::Result<()> {
        let (temporary, mut file) = self.folder.temporary(shard)?;
        let mut write = || -> io::Result<()> {
            file.write_all(bytes)?;
            set_deadline(&file, deadline)?;
            if sync {
                file.sync_all()?;
            }
            fs::rename(&temporary, path)?;
            if sync { File::open(shard)?.sync_all() } else { Ok(()) }
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    pub(crate) fn touch(&self, _: &Lock, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let Some((file, _)) = self.open_live(key)? else { return Ok(false) };
        if deadline <= self.options.clock.now() {
            let old = self.live_header(key)?;
            return self.remove(key, old).map(|()| true);
        }
        if let Some(tag) = self.live_header(key)?.and_then(|header| header.tag) {
            self.mark_until(tag, key, deadline)?;
        }
        set_deadline(&file, deadline).map_err(unavailable("cannot be written"))?;
        Ok(true)
    }

    pub(crate) fn delete(&self, _: &Lock, key: StoreKey) -> Result<bool, Error> {
        let live = self.open_live(key)?.is_some();
        // A damaged file is deleted too: that is how an operator gets rid of it.
        let header = self.live_header(key).unwrap_or_default();
        self.remove(key, header)?;
        Ok(live)
    }

    /// Removes a file, and the mark by which its tag finds it.
    pub(crate) fn remove(&self, key: StoreKey, header: Option<Header>) -> Result<(), Error> {
        match fs::remove_file(self.folder.record(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unavailable("has a file that cannot be removed")(error));
            }
            _ => {}
        }
        if self.options.durability == Durability::Power {
            // What was ended must not come back with the power.
            let _ = File::open(self.folder.shard(key.as_bytes()[0])).and_then(|shard| shard.sync_all());
        }
        self.unmark_other(key, header.and_then(|header| header.tag), None);
        Ok(())
    }
}

fn overwrite(path: &Path, bytes: &[u8], deadline: Time) -> io::Result<()> {
    let mut file = private().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    set_deadline(&file, deadline)
}

/// "Never" is the start of the epoch: no deadline lies there, and many file systems know no year 9999.
pub(crate) fn set_deadline(file: &File, deadline: Time) -> io::Result<()> {
    let time = if deadline == Time::MAX { Time::ZERO } else { deadline };
    file.set_times(FileTimes::new().set_modified(SystemTime::from(time)))
}

pub(crate) fn deadline_of(metadata: &Metadata) -> Time {
    let modified = metadata.modified().map_or(Time::ZERO, Time::from);
    if modified == Time::ZERO { Time::MAX } else { modified }
}
