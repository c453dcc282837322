//! Where a sweep is: in which place of which round, and how far in it.

use std::fs::{self, ReadDir};
use std::io;
use std::path::PathBuf;

use ampoule_core::Error;

use crate::folder::random;

/// The 256 folders of records, then the 256 folders of tags, then the root, where only temporary files can be left.
pub(crate) const PLACES: usize = 513;

/// A folder that is open stays open from one sweep to the next, so that a large one is gone through in portions.
pub(crate) struct Progress {
    /// How many places have been looked through.
    position: usize,
    /// The folder that is being looked through, and the one in it.
    open: Vec<(PathBuf, ReadDir)>,
    /// What the next sweep is to say before it continues.
    pub(crate) failed: Option<Error>,
}

impl Progress {
    /// The beginning of a round of any number, since the processes that sweep need not live for 256 rounds.
    pub(crate) fn at_random() -> Progress {
        Progress { position: usize::from(random().unwrap_or_default() as u8) * PLACES, open: Vec::new(), failed: None }
    }

    /// The number of the round, of which only the last byte counts, and that of the place.
    pub(crate) fn place(&self) -> (u8, usize) {
        ((self.position / PLACES) as u8, self.position % PLACES)
    }

    pub(crate) fn is_at_folder(&self) -> bool {
        !self.open.is_empty()
    }

    /// Goes into a folder. One that is not there has nothing in it.
    pub(crate) fn enter(&mut self, folder: PathBuf) -> io::Result<()> {
        match fs::read_dir(&folder) {
            Ok(entries) => self.open.push((folder, entries)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next file or folder, and how deep it lies: 1 for one of the place itself.
    pub(crate) fn next(&mut self) -> Option<(usize, io::Result<fs::DirEntry>)> {
        let depth = self.open.len();
        self.open.last_mut()?.1.next().map(|entry| (depth, entry))
    }

    /// Leaves the folder that has nothing more.
    pub(crate) fn leave(&mut self) -> Option<PathBuf> {
        self.open.pop().map(|(folder, _)| folder)
    }

    /// Moves to the next place, and says whether the round is at its end.
    pub(crate) fn advance(&mut self) -> bool {
        self.open.clear();
        self.position = self.position.wrapping_add(1);
        self.position.is_multiple_of(PLACES)
    }
}
