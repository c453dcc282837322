//! Frees what has expired, without opening a file.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ampoule_core::{Error, Swept, Time};

use crate::files::Files;
use crate::folder::{TEMPORARY, deadline_of, parse_key, unavailable};

/// The 256 folders of records, then the 256 folders of tags, then the root, where only temporary files can be left.
const PLACES: usize = 513;

/// A file that is being written for so long has lost its writer.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// What looking through one place came to.
struct Place {
    looked_at: usize,
    removed: usize,
    /// Whether the budget ended before the place.
    more: bool,
}

impl Files {
    /// Looks through one place after another until the budget is spent, and goes on there next time. A place is
    /// looked through whole: about a 256th of all sessions.
    pub(crate) fn sweep(&self, budget: usize) -> Result<Swept, Error> {
        let mut looked_at = 0;
        let mut removed = 0;
        loop {
            let number = self.swept_to.load(Ordering::Relaxed);
            let first = (number % 256) as u8;
            let place = match number / 256 {
                0 => self.sweep_records(&self.folder.shard(first), budget.max(1) - removed)?,
                1 => self.sweep_marks(first)?,
                _ => self.sweep_records(self.folder.root(), 1)?,
            };
            looked_at += place.looked_at;
            removed += place.removed;
            if !place.more {
                self.swept_to.store((number + 1) % PLACES, Ordering::Relaxed);
            }
            let at_the_end = number + 1 == PLACES;
            if at_the_end || place.more || looked_at.max(removed) >= budget {
                return Ok(Swept { removed: removed as u64, more: !at_the_end });
            }
        }
    }

    fn sweep_records(&self, shard: &Path, budget: usize) -> Result<Place, Error> {
        let now = self.options.clock.now();
        let mut place = Place { looked_at: 0, removed: 0, more: false };
        place.looked_at = for_each_file(shard, |entry| {
            if place.removed == budget {
                place.more = true;
            } else if self.sweep_file(entry, now)? {
                place.removed += 1;
            }
            Ok(())
        })?;
        Ok(place)
    }

    fn sweep_file(&self, entry: &DirEntry, now: Time) -> Result<bool, Error> {
        let Ok(metadata) = entry.metadata() else { return Ok(false) };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY) && now.since(last_changed(&metadata)) > ABANDONED {
            let _ = fs::remove_file(entry.path());
        }
        let Some(key) = parse_key(&name).filter(|_| deadline_of(&metadata) <= now) else { return Ok(false) };
        let _lock = self.locks.blocking_lock(key)?;
        // It may have been written, touched or removed since it was looked at.
        let still = entry.path().symlink_metadata().is_ok_and(|metadata| deadline_of(&metadata) <= now);
        if still {
            self.remove(key, None)?;
        }
        Ok(still)
    }

    fn sweep_marks(&self, first: u8) -> Result<Place, Error> {
        let mut marks = 0;
        let folders = for_each_file(&self.folder.tag_shard(first), |folder| {
            marks += for_each_file(&folder.path(), |mark| {
                let key = mark.file_name().to_str().and_then(parse_key);
                key.map_or(Ok(()), |key| self.sweep_mark(&mark.path(), key))
            })?;
            // Only an empty folder can be removed.
            let _ = fs::remove_dir(folder.path());
            Ok(())
        })?;
        Ok(Place { looked_at: folders + marks, removed: 0, more: false })
    }
}

/// Calls `look` for each file of a folder, and counts them. What vanishes meanwhile is passed over.
pub(crate) fn for_each_file(
    folder: &Path,
    mut look: impl FnMut(&DirEntry) -> Result<(), Error>,
) -> Result<usize, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(unavailable("cannot be read")(error)),
    };
    let mut looked_at = 0;
    for entry in entries {
        look(&entry.map_err(unavailable("cannot be read"))?)?;
        looked_at += 1;
    }
    Ok(looked_at)
}

/// When a file was last changed in any way, since its modification time may already be a deadline.
#[cfg(unix)]
fn last_changed(metadata: &Metadata) -> Time {
    use std::os::unix::fs::MetadataExt;
    Time::from_millis(u64::try_from(metadata.ctime()).unwrap_or(0).saturating_mul(1_000))
}

#[cfg(not(unix))]
fn last_changed(metadata: &Metadata) -> Time {
    metadata.created().map_or(Time::MAX, Time::from)
}
