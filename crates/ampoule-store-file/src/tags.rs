//! Which sessions are whose: an empty file for each, in a folder for each tag.
//!
//! A mark is made before its record and removed after it, so marks may be too many and are never too few. Those that
//! are too many are cleaned when they are read, and swept when their time, which is that of their record, has passed.

use std::fs;
use std::io;

use ampoule_core::{Entry, Error, StoreKey, Tag, Time};

use crate::files::{Files, set_deadline};
use crate::folder::{make_folder, parse_key, private, unavailable};

impl Files {
    pub(crate) fn mark(&self, key: StoreKey, entry: &Entry) -> Result<(), Error> {
        entry.tag.map_or(Ok(()), |tag| self.mark_until(tag, key, entry.deadline))
    }

    pub(crate) fn mark_until(&self, tag: Tag, key: StoreKey, deadline: Time) -> Result<(), Error> {
        let folder = self.folder.tag(tag);
        let path = folder.join(self.mark_name(key));
        let mark = || {
            let file = private().write(true).create(true).truncate(true).open(&path)?;
            set_deadline(&file, deadline)
        };
        // A sweep may remove the folder, when it is empty, at any time.
        let mut marked = mark();
        for _ in 0..8 {
            match marked {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    marked = make_folder(&folder).and_then(|()| mark())
                }
                other => return other.map_err(unavailable("cannot be written")),
            }
        }
        marked.map_err(unavailable("cannot be written"))
    }

    /// Removes the mark of a record that has this tag no more.
    pub(crate) fn unmark_other(&self, key: StoreKey, old: Option<Tag>, new: Option<Tag>) {
        if let Some(old) = old.filter(|old| Some(*old) != new) {
            // One that stays is cleaned when it is read.
            let _ = fs::remove_file(self.folder.tag(old).join(self.mark_name(key)));
        }
    }

    pub(crate) fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let entries = match fs::read_dir(self.folder.tag(tag)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unavailable("cannot be read")(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let name = entry.map_err(unavailable("cannot be read"))?.file_name();
            let Some(key) = name.to_str().and_then(parse_key) else { continue };
            if self.is_marked(tag, key)? {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// Whether the record still has the tag. A mark without one goes, under the lock of the key: its record may be
    /// about to be written.
    fn is_marked(&self, tag: Tag, key: StoreKey) -> Result<bool, Error> {
        let has_tag = || self.live_header(key).map(|header| header.is_some_and(|header| header.tag == Some(tag)));
        if has_tag()? {
            return Ok(true);
        }
        let _lock = self.locks.blocking_lock(key)?;
        let marked = has_tag()?;
        if !marked {
            self.unmark_other(key, Some(tag), None);
        }
        Ok(marked)
    }

    fn mark_name(&self, key: StoreKey) -> std::ffi::OsString {
        self.folder.record(key).file_name().unwrap_or_default().to_owned()
    }
}
