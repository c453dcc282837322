//! Frees what has expired, without opening a file.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use ampoule_core::{Error, Swept, Time};

use crate::files::{Files, deadline_of};
use crate::folder::{TEMPORARY, parse_key, unavailable};

/// The 256 folders of records, and then the marks.
const PLACES: usize = 257;

/// A file that is being written for so long has lost its writer.
const ABANDONED: Duration = Duration::from_secs(3_600);

impl Files {
    /// Looks through one place after another until the budget is spent, and goes on there next time. A place is
    /// looked through whole: about a 256th of all sessions.
    pub(crate) fn sweep(&self, budget: usize) -> Result<Swept, Error> {
        let mut left = budget;
        let mut swept = Swept::default();
        loop {
            let place = self.swept_to.load(Ordering::Relaxed);
            let looked = match u8::try_from(place) {
                Ok(first) => self.sweep_shard(first, budget.saturating_sub(swept.removed as usize), &mut swept)?,
                Err(_) => self.sweep_marks()?,
            };
            left = left.saturating_sub(looked);
            let unfinished = swept.removed as usize >= budget && place < PLACES - 1;
            if !unfinished {
                self.swept_to.store((place + 1) % PLACES, Ordering::Relaxed);
            }
            let at_the_end = place + 1 == PLACES;
            if at_the_end || left == 0 || unfinished {
                return Ok(Swept { more: !at_the_end, ..swept });
            }
        }
    }

    fn sweep_shard(&self, first: u8, budget: usize, swept: &mut Swept) -> Result<usize, Error> {
        let now = self.options.clock.now();
        let mut removed = 0;
        let looked = for_each_file(&self.folder.shard(first), |entry, metadata| {
            if removed < budget && self.sweep_file(entry, metadata, now)? {
                removed += 1;
            }
            Ok(())
        })?;
        swept.removed += removed as u64;
        Ok(looked)
    }

    fn sweep_file(&self, entry: &DirEntry, metadata: &Metadata, now: Time) -> Result<bool, Error> {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY) {
            if is_abandoned(metadata) {
                let _ = fs::remove_file(entry.path());
            }
            return Ok(false);
        }
        let Some(key) = parse_key(&name).filter(|_| deadline_of(metadata) <= now) else { return Ok(false) };
        let _lock = self.locks.blocking_lock(key)?;
        // It may have been written, touched or removed since it was looked at.
        let still = entry.path().symlink_metadata().is_ok_and(|metadata| deadline_of(&metadata) <= now);
        if still {
            self.remove(key, None)?;
        }
        Ok(still)
    }

    fn sweep_marks(&self) -> Result<usize, Error> {
        let now = self.options.clock.now();
        let mut looked = 0;
        for_each_file(&self.folder.tags(), |folder, _| {
            looked += for_each_file(&folder.path(), |mark, metadata| {
                if deadline_of(metadata) <= now {
                    let _ = fs::remove_file(mark.path());
                }
                Ok(())
            })?;
            // Only an empty folder can be removed.
            let _ = fs::remove_dir(folder.path());
            Ok(())
        })?;
        Ok(looked)
    }
}

/// Calls `look` for each file of a folder, and counts them. What vanishes meanwhile is passed over.
fn for_each_file(
    folder: &Path,
    mut look: impl FnMut(&DirEntry, &Metadata) -> Result<(), Error>,
) -> Result<usize, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(unavailable("cannot be read")(error)),
    };
    let mut looked = 0;
    for entry in entries {
        let entry = entry.map_err(unavailable("cannot be read"))?;
        looked += 1;
        if let Ok(metadata) = entry.metadata() {
            look(&entry, &metadata)?;
        }
    }
    Ok(looked)
}

/// By the time of its last change of any kind, since its modification time may already be a deadline.
#[cfg(unix)]
fn is_abandoned(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or(0));
    changed.elapsed().is_ok_and(|age| age > ABANDONED)
}

#[cfg(not(unix))]
fn is_abandoned(metadata: &Metadata) -> bool {
    metadata.created().is_ok_and(|created| created.elapsed().is_ok_and(|age| age > ABANDONED))
}
