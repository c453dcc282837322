//! The index from tags to sessions: an empty file (a mark) for each session, in a folder for each tag.
//!
//! A mark is created before its record and removed after it, so there may be too many marks, never too few. A mark too
//! many is removed when it is read and its record has another tag, or when a sweep finds that its record is gone; both
//! under the lock of the key, since the record may be about to be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ampoule_core::{Error, ErrorKind, StoreKey, Tag};

use crate::files::{Files, MAX_ATTEMPTS};
use crate::folder::{hex, parse_key, unavailable};

/// The state of a marked record.
enum MarkedRecord {
    Live,
    /// The mark of an expired record stays as long as the record, since a clock that jumped ahead may be set back.
    Expired,
    Gone,
}

impl Files {
    /// Creates the mark, unless it exists.
    pub(crate) fn mark(&self, tag: Tag, key: StoreKey) -> Result<(), Error> {
        let folder = self.folder.tag(tag);
        // A sweep may remove the folder at any time while it is empty, but hardly this often in a row.
        let mut marked = self.make_mark(&folder, key);
        for _ in 0..MAX_ATTEMPTS {
            match marked {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    marked = self.make_tag_folder(&folder).and_then(|()| self.make_mark(&folder, key));
                }
                other => {
                    marked = other;
                    break;
                }
            }
        }
        marked.and_then(|()| self.sync(&folder)).map_err(unavailable("cannot be written"))
    }

    fn make_mark(&self, folder: &Path, key: StoreKey) -> io::Result<()> {
        match self.folder.create(&mark_path(folder, key)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn make_tag_folder(&self, folder: &Path) -> io::Result<()> {
        self.folder.make(folder)?;
        folder.ancestors().skip(1).take(2).try_for_each(|above| self.sync(above))
    }

    /// Removes the mark of a record that no longer has this tag.
    pub(crate) fn unmark(&self, tag: Tag, key: StoreKey) {
        // A mark that stays is removed when it is read, or swept.
        let _ = fs::remove_file(mark_path(&self.folder.tag(tag), key));
    }

    /// Returns the keys with this tag. A session that ends may have made room for another one of the same user, whose
    /// mark is newer than the list. The folder is therefore read again, until each of its marks has a record.
    pub(crate) fn keys_with_tag(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        for _ in 1..MAX_ATTEMPTS {
            if let (keys, true) = self.marked_keys(tag)? {
                return Ok(keys);
            }
        }
        Ok(self.marked_keys(tag)?.0)
    }

    /// Returns the keys whose records have the tag, and whether there was no other mark.
    fn marked_keys(&self, tag: Tag) -> Result<(Vec<StoreKey>, bool), Error> {
        let entries = match fs::read_dir(self.folder.tag(tag)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), true)),
            Err(error) => return Err(unavailable("cannot be read")(error)),
        };
        let (mut keys, mut all) = (Vec::new(), true);
        for entry in entries {
            let name = entry.map_err(unavailable("cannot be read"))?.file_name();
            let Some(key) = name.to_str().and_then(parse_key) else { continue };
            match self.record_of_mark(tag, key)? {
                MarkedRecord::Live => keys.push(key),
                MarkedRecord::Expired => {}
                MarkedRecord::Gone => all = false,
            }
        }
        Ok((keys, all))
    }

    /// Looks up the record of a mark, and removes the mark if no record has the tag.
    fn record_of_mark(&self, tag: Tag, key: StoreKey) -> Result<MarkedRecord, Error> {
        match self.look_up(tag, key)? {
            MarkedRecord::Gone => {}
            there => return Ok(there),
        }
        let _lock = self.blocking_lock(key)?;
        let marked = self.look_up(tag, key)?;
        if let MarkedRecord::Gone = marked {
            self.unmark(tag, key);
        }
        Ok(marked)
    }

    /// A damaged record counts as one that has the tag: a caller that ends all sessions of a user must be able to end
    /// it.
    fn look_up(&self, tag: Tag, key: StoreKey) -> Result<MarkedRecord, Error> {
        let deadline = match self.record(key) {
            Ok(Some((_, header))) if header.tag == Some(tag) => header.deadline_after(self.options.clock.now()),
            Ok(_) => return Ok(MarkedRecord::Gone),
            Err(error) => Err(error),
        };
        match deadline {
            Ok(Some(_)) => Ok(MarkedRecord::Live),
            Ok(None) => Ok(MarkedRecord::Expired),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(MarkedRecord::Live),
            Err(error) => Err(error),
        }
    }

    /// Removes a mark whose record is gone.
    pub(crate) fn sweep_mark(&self, mark: &Path, key: StoreKey) -> Result<(), Error> {
        let record = self.folder.record(key);
        let is_gone = || record.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_gone() {
            let _lock = self.blocking_lock(key)?;
            if is_gone() {
                let _ = fs::remove_file(mark);
            }
        }
        Ok(())
    }
}

fn mark_path(folder: &Path, key: StoreKey) -> PathBuf {
    folder.join(hex(key.as_bytes()))
}
