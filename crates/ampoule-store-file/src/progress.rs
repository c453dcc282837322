//! The progress of a sweep: its round, its place in the round, and its position in that place.

use std::fs::{self, ReadDir};
use std::io;
use std::path::PathBuf;

use ampoule_core::Error;

use crate::folder::random;

/// The number of places: 256 folders of records, 256 folders of tags, and the root, where only temporary files can be
/// left.
pub(crate) const PLACE_COUNT: usize = 513;

/// The position of a sweep. An open folder stays open from one sweep to the next, so that a large one is swept in
/// batches.
pub(crate) struct Progress {
    /// How many places were swept.
    position: usize,
    /// The open folder, and the open folder inside it.
    open: Vec<(PathBuf, ReadDir)>,
    /// The error that the next sweep returns before it continues.
    pub(crate) failed: Option<Error>,
}

impl Progress {
    /// Starts at a random round, since the processes that sweep need not live for 256 rounds.
    pub(crate) fn at_random() -> Progress {
        Progress {
            position: usize::from(random().unwrap_or_default() as u8) * PLACE_COUNT,
            open: Vec::new(),
            failed: None,
        }
    }

    /// Returns the number of the round modulo 256, and that of the place.
    pub(crate) fn place(&self) -> (u8, usize) {
        ((self.position / PLACE_COUNT) as u8, self.position % PLACE_COUNT)
    }

    pub(crate) fn is_at_folder(&self) -> bool {
        !self.open.is_empty()
    }

    /// Opens a folder. One that does not exist counts as empty.
    pub(crate) fn enter(&mut self, folder: PathBuf) -> io::Result<()> {
        match fs::read_dir(&folder) {
            Ok(entries) => self.open.push((folder, entries)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns the next file or folder, and its depth: 1 for an entry of the place itself.
    pub(crate) fn next(&mut self) -> Option<(usize, io::Result<fs::DirEntry>)> {
        let depth = self.open.len();
        self.open.last_mut()?.1.next().map(|entry| (depth, entry))
    }

    /// Leaves the folder that has no more entries.
    pub(crate) fn leave(&mut self) -> Option<PathBuf> {
        self.open.pop().map(|(folder, _)| folder)
    }

    /// Advances to the next place, and returns whether the round has ended.
    pub(crate) fn advance(&mut self) -> bool {
        self.open.clear();
        self.position = self.position.wrapping_add(1);
        self.position.is_multiple_of(PLACE_COUNT)
    }
}
