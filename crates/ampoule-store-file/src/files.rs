//! The operations of the store, which run on threads that may block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use ampoule_core::{Durability, Entry, Error, ErrorKind, PutMode, PutResult, StoreKey, Stored, Tag, Time, Version};

use crate::folder::{Folder, private, set_hint, sync_folder, unavailable};
use crate::format::{self, HEADER, Header};
use crate::options::FileOptions;
use crate::process_locks::{Lock, ProcessGuard, ProcessLocks};
use crate::progress::Progress;

/// How often a write is tried if its folder is removed each time.
pub(crate) const MAX_ATTEMPTS: usize = 64;

pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) options: FileOptions,
    pub(crate) process_locks: ProcessLocks,
    /// Where the next sweep continues.
    pub(crate) swept: Mutex<Progress>,
}

/// A record whose deadline has not passed.
pub(crate) struct Live {
    file: File,
    pub(crate) header: Header,
    deadline: Time,
}

impl Files {
    pub(crate) fn new(folder: Folder, options: FileOptions) -> Files {
        Files { folder, options, process_locks: ProcessLocks::new(), swept: Mutex::new(Progress::at_random()) }
    }

    pub(crate) fn get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        match self.read(key) {
            // A touch may just have been writing one of the deadlines. A damaged file is damaged at the second attempt
            // too.
            Err(error) if error.kind() == ErrorKind::Corrupt => self.read(key),
            read => read,
        }
    }

    fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let Some(mut file) = self.open(key, private().read(true))? else { return Ok(None) };
        let len = file.metadata().map_err(unavailable("cannot be read"))?.len();
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact(&mut bytes).map_err(unavailable("cannot be read"))?;
        let header = format::decode_header(&bytes)?;
        let Some(deadline) = header.deadline_after(self.options.clock.now())? else { return Ok(None) };
        Ok(Some(Stored { value: format::decode_value(bytes)?, version: header.version, deadline }))
    }

    fn open(&self, key: StoreKey, options: &OpenOptions) -> Result<Option<File>, Error> {
        match options.open(self.folder.record(key)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable("has a file that cannot be opened")(error)),
        }
    }

    /// Returns the file of a key and its header, expired or not.
    pub(crate) fn record(&self, key: StoreKey) -> Result<Option<(File, Header)>, Error> {
        let Some(mut file) = self.open(key, private().read(true).write(true))? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(HEADER);
        Read::by_ref(&mut file).take(HEADER as u64).read_to_end(&mut bytes).map_err(unavailable("cannot be read"))?;
        Ok(Some((file, format::decode_header(&bytes)?)))
    }

    pub(crate) fn live(&self, key: StoreKey, now: Time) -> Result<Option<Live>, Error> {
        let Some((file, header)) = self.record(key)? else { return Ok(None) };
        let deadline = header.deadline_after(now)?;
        Ok(deadline.map(|deadline| Live { file, header, deadline }))
    }

    pub(crate) fn put(
        &self,
        guard: ProcessGuard,
        key: StoreKey,
        entry: &Entry,
        mode: PutMode,
    ) -> Result<PutResult, Error> {
        if entry.value.len() > self.options.max_value {
            let (len, max) = (entry.value.len(), self.options.max_value);
            return Err(Error::new(ErrorKind::TooLarge, format!("the value has {len} bytes; the maximum is {max}")));
        }
        let mut lock = self.lock(guard)?;
        for _ in 0..MAX_ATTEMPTS {
            if let Some(result) = self.put_locked(&lock, key, entry, mode)? {
                return Ok(result);
            }
            lock = self.relock(lock)?;
        }
        Err(Error::new(ErrorKind::Unavailable, "another program keeps removing the store's folder while it is written"))
    }

    /// Returns `None` if the folder was removed before the record was in it.
    fn put_locked(&self, lock: &Lock, key: StoreKey, entry: &Entry, mode: PutMode) -> Result<Option<PutResult>, Error> {
        let now = self.options.clock.now();
        let old = self.live(key, now)?.map(|live| live.header);
        let holds = match mode {
            PutMode::Create => old.is_none(),
            PutMode::Replace(version) => old.is_some_and(|old| old.version == version),
            PutMode::Always => true,
        };
        if !holds {
            return Ok(Some(PutResult::Conflict));
        }
        // A counter could repeat a version when a key is deleted and created again; 64 random bits do not.
        let version = Version::random()?;
        let old_tag = old.and_then(|old| old.tag);
        let deadline = now + entry.lifetime;
        if deadline <= now {
            self.remove(lock, key, old_tag)?;
        } else {
            entry.tag.map_or(Ok(()), |tag| self.mark(tag, key))?;
            let bytes = format::encode(version, entry.tag, deadline, &entry.value);
            if !self.replace(lock, key, &bytes, deadline).map_err(unavailable("cannot be written"))? {
                return Ok(None);
            }
            if let Some(old_tag) = old_tag.filter(|_| old_tag != entry.tag) {
                self.unmark(old_tag, key);
            }
        }
        Ok(Some(PutResult::Stored(version)))
    }

    /// Returns whether the lock was still that of the folder when the new file was in it. From then on the folder
    /// cannot be removed.
    fn replace(&self, lock: &Lock, key: StoreKey, bytes: &[u8], deadline: Time) -> io::Result<bool> {
        let shard = self.folder.shard(key.as_bytes()[0]);
        let (temporary, mut file) = match self.folder.temporary(&shard) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            made => made?,
        };
        let mut write = || -> io::Result<bool> {
            file.write_all(bytes)?;
            set_hint(&file, deadline);
            if self.options.durability == Durability::Power {
                file.sync_all()?;
            }
            if !self.holds(lock)? {
                return Ok(false);
            }
            fs::rename(&temporary, self.folder.record(key))?;
            Ok(true)
        };
        let written = write();
        if !matches!(written, Ok(true)) {
            let _ = fs::remove_file(&temporary);
        }
        if written? {
            self.sync(&shard)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Waits until the disk has what was created, renamed or removed in a folder, if the durability requires it.
    pub(crate) fn sync(&self, folder: &Path) -> io::Result<()> {
        if self.options.durability == Durability::Power { sync_folder(folder) } else { Ok(()) }
    }

    /// Moves the deadline in the file, by one write of a few bytes. It does not wait for the disk, whatever the
    /// durability: a loss of power can only shorten a session by some minutes.
    pub(crate) fn touch(&self, _: &Lock, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let now = self.options.clock.now();
        let live = self.live(key, now)?.filter(|live| live.header.version == version);
        let Some(Live { mut file, header, deadline }) = live else { return Ok(false) };
        let later = now + lifetime;
        if later > deadline {
            let (at, bytes) = header.moved_to(later);
            let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&bytes));
            written.map_err(unavailable("cannot be written"))?;
            set_hint(&file, later);
        }
        Ok(true)
    }

    pub(crate) fn delete(&self, lock: &Lock, key: StoreKey) -> Result<bool, Error> {
        let (live, tag) = match self.live(key, self.options.clock.now()) {
            Ok(live) => (live.is_some(), live.and_then(|live| live.header.tag)),
            // A damaged file, or a path that is not a file, is deleted too, so that an operator can get rid of it. A
            // file that cannot be reached cannot be removed either; that is an error.
            Err(_) => (true, None),
        };
        self.remove(lock, key, tag)?;
        Ok(live)
    }

    /// Removes a file, and the mark by which its tag finds it. Both are synced, so that a loss of power does not revive
    /// an ended session.
    ///
    /// If a cleaner has removed the folder since it was locked, the folder contained no record. A record that exists
    /// now was written later, under another lock.
    pub(crate) fn remove(&self, lock: &Lock, key: StoreKey, tag: Option<Tag>) -> Result<(), Error> {
        if !self.holds(lock).map_err(unavailable("cannot be read"))? {
            return Ok(());
        }
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
