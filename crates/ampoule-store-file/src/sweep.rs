//! Removes expired files.
//!
//! Before a file is removed, its deadline is read under the lock of its key. Modification times select the files to
//! read, and may be wrong. One that is too early costs a read, and is corrected. One that is too late would hide a file
//! for ever, so each round also reads those files whose keys have a certain second byte, another one in each round.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, StoreKey, SweepReport, Time};

use crate::files::Files;
use crate::folder::{TEMPORARY_PREFIX, hint_for, hint_of, parse_key, set_hint, unavailable};
use crate::progress::Progress;

/// How long a sweep works in one call, whatever its budget. With pauses of 10 ms between the calls, on two cores, 10 ms
/// are noticeable for writers (their 99th percentile rises by half), and 4 ms hardly.
const MAX_TIME: Duration = Duration::from_millis(4);

/// The age at which a file that is being written has lost its writer.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// How long an expired damaged file is kept, so that the damage is noticed before the file is removed.
const DAMAGED_RETENTION: Duration = Duration::from_secs(30 * 24 * 3_600);

impl Files {
    /// Examines files until the budget or the time is used up, and continues there the next time.
    ///
    /// If a place cannot be swept, the next call returns that error alone, and the place is skipped: it must not keep
    /// all others from being swept.
    pub(crate) fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        let mut progress = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = progress.failed.take() {
            return Err(error);
        }
        let (started, mut looked_at, mut removed) = (Instant::now(), 0, 0);
        while looked_at < budget.max(1) && started.elapsed() < MAX_TIME {
            match self.sweep_next(&mut progress) {
                Ok(Some(was_removed)) => {
                    looked_at += 1;
                    removed += u64::from(was_removed);
                }
                Ok(None) if progress.advance() => return Ok(SweepReport { removed, more: false }),
                Ok(None) => {}
                Err(error) => {
                    progress.failed = Some(error);
                    progress.advance();
                    break;
                }
            }
        }
        Ok(SweepReport { removed, more: true })
    }

    /// Examines the next file of a place and returns whether it was removed; `None` at the end of the place.
    fn sweep_next(&self, progress: &mut Progress) -> Result<Option<bool>, Error> {
        let (round, number) = progress.place();
        let first = (number % 256) as u8;
        if !progress.is_at_folder() {
            let folder = match number / 256 {
                0 => self.folder.shard(first),
                1 => self.folder.tag_shard(first),
                _ => {
                    self.folder.restore_marker().map_err(unavailable("cannot be written"))?;
                    self.folder.root().to_owned()
                }
            };
            progress.enter(folder).map_err(unavailable("cannot be read"))?;
        }
        let is_of_tags = number / 256 == 1;
        let Some((depth, entry)) = progress.next() else {
            return Ok(leave(progress).then_some(false));
        };
        let entry = entry.map_err(unavailable("cannot be read"))?;
        match (is_of_tags, depth) {
            (false, _) => self.sweep_file(&entry, self.options.clock.now(), round).map(Some),
            (true, 1) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => {
                progress.enter(entry.path()).map_err(unavailable("cannot be read"))?;
                Ok(Some(false))
            }
            _ => {
                let key = entry.file_name().to_str().and_then(parse_key);
                key.map_or(Ok(()), |key| self.sweep_mark(&entry.path(), key))?;
                Ok(Some(false))
            }
        }
    }

    fn sweep_file(&self, entry: &DirEntry, now: Time, round: u8) -> Result<bool, Error> {
        let Ok(metadata) = entry.metadata() else { return Ok(false) };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY_PREFIX) && now.since(last_changed(&metadata)) > ABANDONED_AFTER {
            let _ = fs::remove_file(entry.path());
        }
        let Some(key) = parse_key(&name) else { return Ok(false) };
        let hint = hint_of(&metadata);
        let is_suspect = hint <= now || (key.as_bytes()[1] == round && self.has_expired(key, hint, now));
        if !is_suspect {
            return Ok(false);
        }
        // Until the lock is acquired, the file may still be written, touched or removed.
        let lock = self.blocking_lock(key)?;
        let has_expired = self.has_expired(key, hint, now);
        if has_expired {
            self.remove(&lock, key, None)?;
        }
        Ok(has_expired)
    }

    /// Reads the deadline in a file, and corrects the modification time of a live one. It needs no lock: if the file is
    /// touched meanwhile, its time may become too early, and it is read once more than necessary.
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
            // Nothing is known of a file that cannot be opened. It must not keep all others from being swept.
            Err(error) => error.kind() == ErrorKind::Corrupt && now.since(hint) > DAMAGED_RETENTION,
        }
    }
}

/// Leaves a folder, and returns whether the folder above it is in the same place: then it is the folder of a tag, which
/// is removed if it is empty.
fn leave(progress: &mut Progress) -> bool {
    let folder = progress.leave().filter(|_| progress.is_at_folder());
    folder.inspect(|tag| _ = fs::remove_dir(tag)).is_some()
}

/// Calls `look` for each file of a folder, and counts them. Files that vanish meanwhile are skipped.
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

/// Returns when a file was last changed in any way, since its modification time may already be a deadline.
#[cfg(unix)]
fn last_changed(metadata: &Metadata) -> Time {
    use std::os::unix::fs::MetadataExt;
    Time::from_millis(u64::try_from(metadata.ctime()).unwrap_or(0).saturating_mul(1_000))
}

#[cfg(not(unix))]
fn last_changed(metadata: &Metadata) -> Time {
    metadata.created().map_or(Time::MAX, Time::from)
}
