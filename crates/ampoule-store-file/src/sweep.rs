//! Frees what has expired.
//!
//! Whether a file has expired is read in the file, under the lock of its key, before it is removed. Which files are read,
//! their modification times tell, and these may lie. One that lies in the past costs a look, and is corrected. One that
//! lies ahead would hide a file for ever, so each round through all places also reads those files whose keys have a
//! certain second byte, another one in each round.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey, SweepReport, Time};

use crate::files::Files;
use crate::folder::{TEMPORARY, hint_for, hint_of, parse_key, set_hint, unavailable};
use crate::places::PLACES;

/// A file that is being written for so long has lost its writer.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// A damaged file whose time has passed is kept for so long, so that the damage is seen before it is gone.
const DAMAGED: Duration = Duration::from_secs(30 * 24 * 3_600);

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
    pub(crate) fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        let mut looked_at = 0;
        let mut removed = 0;
        loop {
            let position = self.swept_to.load(Ordering::Relaxed);
            let (round, number) = (position / PLACES, position % PLACES);
            let first = (number % 256) as u8;
            let left = budget.max(1) - removed;
            let place = match number / 256 {
                0 => self.sweep_records(&self.folder.shard(first), left, round as u8)?,
                1 => self.sweep_marks(first)?,
                _ => self.sweep_records(self.folder.root(), left, round as u8)?,
            };
            looked_at += place.looked_at;
            removed += place.removed;
            if !place.more {
                self.swept_to.store(position.wrapping_add(1), Ordering::Relaxed);
            }
            let at_the_end = number + 1 == PLACES;
            if at_the_end || place.more || looked_at.max(removed) >= budget {
                return Ok(SweepReport { removed: removed as u64, more: !at_the_end });
            }
        }
    }

    fn sweep_records(&self, folder: &Path, budget: usize, round: u8) -> Result<Place, Error> {
        let now = self.options.clock.now();
        let mut place = Place { looked_at: 0, removed: 0, more: false };
        place.looked_at = for_each_file(folder, |entry| {
            if place.removed == budget {
                place.more = true;
            } else if self.sweep_file(entry, now, round)? {
                place.removed += 1;
            }
            Ok(())
        })?;
        Ok(place)
    }

    fn sweep_file(&self, entry: &DirEntry, now: Time, round: u8) -> Result<bool, Error> {
        let Ok(metadata) = entry.metadata() else { return Ok(false) };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY) && now.since(last_changed(&metadata)) > ABANDONED {
            let _ = fs::remove_file(entry.path());
        }
        let Some(key) = parse_key(&name) else { return Ok(false) };
        let hint = hint_of(&metadata);
        let is_suspect = hint <= now || (key.as_bytes()[1] == round && self.has_expired(key, hint, now));
        if !is_suspect {
            return Ok(false);
        }
        // Before the lock is had, it may still be written, touched or removed.
        let _lock = self.locks.blocking_lock(key)?;
        let has_expired = self.has_expired(key, hint, now);
        if has_expired {
            self.remove(key, None)?;
        }
        Ok(has_expired)
    }

    /// Reads the deadline in a file, and corrects the time of one that lives. That needs no lock: should the file be
    /// touched meanwhile, its time may become too early, and it is read once more than it had to be.
    fn has_expired(&self, key: StoreKey, hint: Time, now: Time) -> bool {
        let read = self.record(key).and_then(|record| match record {
            Some((file, header)) => Ok(Some((file, header.deadline_after(now)?))),
            None => Ok(None),
        });
        match read {
            Ok(Some((file, Some(deadline)))) => {
                if hint_for(deadline) != hint {
                    set_hint(&file, deadline);
                }
                false
            }
            Ok(Some((_, None))) => true,
            Ok(None) => false,
            // Of one that cannot be opened nothing is known. It must not end the sweep of all others.
            Err(error) => error.kind() == ErrorKind::Corrupt && now.since(hint) > DAMAGED,
        }
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
