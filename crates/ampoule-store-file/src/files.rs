//! The operations of the store, on threads that may block.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use ampoule_core::{Entry, Error, ErrorKind, Outcome, Put, StoreKey, Stored, Tag, Time, Version};

use crate::folder::{Folder, deadline_of, make_folder, private, random, set_deadline, sync_folder, unavailable};
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
        let locks = Locks::new(&folder, options.lock_wait);
        Files { folder, options, locks, swept_to: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let Some((mut file, metadata)) = self.open_live(key)? else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(usize::MAX)];
        file.read_exact(&mut bytes).map_err(unavailable("cannot be read"))?;
        let (header, value) = format::decode(bytes)?;
        Ok(Some(Stored { value, version: header.version, deadline: deadline_of(&metadata) }))
    }

    /// The file of a key whose deadline has not passed, and what tells that deadline: both of one file, even while it
    /// is replaced.
    fn open_live(&self, key: StoreKey) -> Result<Option<(File, Metadata)>, Error> {
        let file = match private().read(true).open(self.folder.record(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable("has a file that cannot be opened")(error)),
        };
        let metadata = file.metadata().map_err(unavailable("cannot be read"))?;
        Ok(self.is_live(&metadata).then_some((file, metadata)))
    }

    fn is_live(&self, metadata: &Metadata) -> bool {
        deadline_of(metadata) > self.options.clock.now()
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
        let old_tag = old.and_then(|old| old.tag);
        if entry.deadline <= self.options.clock.now() {
            self.remove(key, old_tag)?;
        } else {
            entry.tag.map_or(Ok(()), |tag| self.mark(tag, key))?;
            self.write(key, entry, version).map_err(unavailable("cannot be written"))?;
            if let Some(old_tag) = old_tag.filter(|_| old_tag != entry.tag) {
                self.unmark(old_tag, key);
            }
        }
        Ok(Outcome::Stored(version))
    }

    fn write(&self, key: StoreKey, entry: &Entry, version: Version) -> io::Result<()> {
        let bytes = format::encode(Header { version, tag: entry.tag }, &entry.value);
        let shard = self.folder.shard(key.as_bytes()[0]);
        let write = || self.replace(&shard, &self.folder.record(key), &bytes, entry.deadline);
        match write() {
            // The folder of a shard is made when it is first missed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(&shard)?;
                self.sync(&self.folder.records())?;
                write()
            }
            written => written,
        }
    }

    fn replace(&self, shard: &Path, path: &Path, bytes: &[u8], deadline: Time) -> io::Result<()> {
        let (temporary, mut file) = self.folder.temporary(shard)?;
        let mut write = || -> io::Result<()> {
            file.write_all(bytes)?;
            set_deadline(&file, deadline)?;
            if self.options.durability == Durability::Power {
                file.sync_all()?;
            }
            fs::rename(&temporary, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.sync(shard)
    }

    /// Waits until the disk has what was made, renamed or removed in a folder, if that is asked for.
    pub(crate) fn sync(&self, folder: &Path) -> io::Result<()> {
        if self.options.durability == Durability::Power { sync_folder(folder) } else { Ok(()) }
    }

    pub(crate) fn touch(&self, _: &Lock, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let Some((file, _)) = self.open_live(key)? else { return Ok(false) };
        if deadline <= self.options.clock.now() {
            return self.remove(key, None).map(|()| true);
        }
        set_deadline(&file, deadline).map_err(unavailable("cannot be written"))?;
        Ok(true)
    }

    pub(crate) fn delete(&self, _: &Lock, key: StoreKey) -> Result<bool, Error> {
        // What is damaged, or no file at all, is deleted too: that is how an operator gets rid of it.
        let live = self.folder.record(key).symlink_metadata().is_ok_and(|metadata| self.is_live(&metadata));
        let tag = self.live_header(key).unwrap_or_default().and_then(|header| header.tag);
        self.remove(key, tag)?;
        Ok(live)
    }

    /// Removes a file, and the mark by which its tag finds it. What was ended does not come back with the power.
    pub(crate) fn remove(&self, key: StoreKey, tag: Option<Tag>) -> Result<(), Error> {
        let removed = match fs::remove_file(self.folder.record(key)) {
            Ok(()) => self.sync(&self.folder.shard(key.as_bytes()[0])),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(unavailable("has a file that cannot be removed"))?;
        if let Some(tag) = tag {
            self.unmark(tag, key);
        }
        Ok(())
    }
}
