//! Which sessions are whose: an empty file for each, in a folder for each tag.
//!
//! A mark is made before its record and removed after it, so marks may be too many and are never too few. One that is
//! too many goes when it is read and its record has another tag, or when a sweep finds that its record is gone; both
//! under the lock of the key, since a record may be about to be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ampoule_core::{Error, ErrorKind, StoreKey, Tag};

use crate::files::{Files, MAX_TRIES};
use crate::folder::{hex, parse_key, unavailable};

impl Files {
    /// Makes the mark, unless it is there.
    pub(crate) fn mark(&self, tag: Tag, key: StoreKey) -> Result<(), Error> {
        let folder = self.folder.tag(tag);
        // A sweep may remove the folder, when it is empty, at any time; hardly so often in a row.
        let mut marked = self.make_mark(&folder, key);
        for _ in 0..MAX_TRIES {
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

    /// Removes the mark of a record that has this tag no more.
    pub(crate) fn unmark(&self, tag: Tag, key: StoreKey) {
        // One that stays is cleaned when it is read, or swept.
        let _ = fs::remove_file(mark_path(&self.folder.tag(tag), key));
    }

    /// A session that ends may have made room for another of the same user, whose mark is younger than the list: so the
    /// folder is read again, until every mark in it is that of a record.
    pub(crate) fn keys_with_tag(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        for _ in 1..MAX_TRIES {
            if let (keys, true) = self.marked_keys(tag)? {
                return Ok(keys);
            }
        }
        Ok(self.marked_keys(tag)?.0)
    }

    /// The keys whose records have the tag, and whether there was no other mark.
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
            match self.is_marked(tag, key)? {
                true => keys.push(key),
                false => all = false,
            }
        }
        Ok((keys, all))
    }

    /// Whether the record still has the tag; a mark without such a record goes.
    fn is_marked(&self, tag: Tag, key: StoreKey) -> Result<bool, Error> {
        if self.has_tag(tag, key)? {
            return Ok(true);
        }
        let _lock = self.blocking_lock(key)?;
        let marked = self.has_tag(tag, key)?;
        if !marked {
            self.unmark(tag, key);
        }
        Ok(marked)
    }

    /// A damaged record counts as one that has it: a caller that ends all sessions of a user must be able to end this one.
    fn has_tag(&self, tag: Tag, key: StoreKey) -> Result<bool, Error> {
        match self.live(key, self.options.clock.now()) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(true),
            live => Ok(live?.is_some_and(|live| live.header.tag == Some(tag))),
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
