//! `ampoule sessions copy`: copies sessions from store to store unchanged.

use std::time::{Duration, Instant};

use ampoule::inspect::State;
use ampoule::store::{Bytes, Entry, PutMode, PutResult, Store, Stored, Time};
use ampoule::{Clock, Error, SessionId, SystemClock};
use ampoule_deploy::Registry;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;

use super::concurrency::CONCURRENCY;
use super::entry::read_entry;
use super::source::{Selection, Source, has_own_clock, is_sealed, same_store};
use super::walk::Walk;
use crate::progress::counter;
use crate::text::{count, print};
use crate::{Failure, output};

#[derive(clap::Args)]
pub(super) struct Copy {
    /// The target: the URL of a store, or an ini file, whose store is used.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Overwrite sessions that exist in the target. By default they are kept.
    #[arg(long)]
    overwrite: bool,
    /// Continue at the cursor that an interrupted copy printed.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Print the result as JSON, on one line; after an interrupted copy it has the cursor for --from.
    #[arg(long)]
    json: bool,
}

/// The outcome for one record.
enum CopyOutcome {
    Copied,
    /// Written, but read back differently.
    Unverified,
    AlreadyThere,
    Expired,
    Damaged,
    /// Of a layer that was not selected.
    OtherLayer,
}

/// The outcomes for all records.
#[derive(Default)]
struct Counts {
    copied: u64,
    already: u64,
    expired: u64,
    unverified: Vec<SessionId>,
    damaged: Vec<SessionId>,
}

impl Copy {
    pub(super) async fn run(&self, from: &Selection, source: &Source, registry: &Registry) -> Result<(), Failure> {
        let to = source.open_target(&self.to, registry)?;
        check(&*from.store, &*to)?;
        let mode = if self.overwrite { PutMode::Always } else { PutMode::Create };
        let bar = counter("sessions copied", self.json);
        let mut walk = Walk::from(&*from.store, self.from.clone());
        let mut counts = Counts::default();
        let done = tokio::select! {
            done = copy_all(from, &*to, mode, &mut walk, &mut counts, &bar) => done.map_err(|error| error.report()),
            _ = tokio::signal::ctrl_c() => Err("stopped by Ctrl-C".to_owned()),
        };
        bar.finish_and_clear();
        match self.json {
            true => print(&counts.json(done.is_err().then(|| walk.cursor())).to_string())?,
            false => print(&counts.to_string())?,
        };
        counts.print_error();
        match done {
            Err(why) => {
                Err(Failure(format!("{why}\nnot all sessions were copied; {}", how_to_continue(walk.cursor()))))
            }
            Ok(()) if !counts.unverified.is_empty() => {
                Err(Failure("not all sessions were copied unchanged".to_owned()))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Refuses a copy to the same store, and one that would store sealed sessions unsealed.
fn check(from: &dyn Store, to: &dyn Store) -> Result<(), Failure> {
    let message = match (from, to) {
        _ if same_store(from, to) => "source and target are the same store",
        _ if is_sealed(from) && !is_sealed(to) => {
            "the source is sealed and the target is not: expected an ini file with an encrypt_key as --to"
        }
        _ => return Ok(()),
    };
    Err(Failure(message.to_owned()))
}

fn how_to_continue(cursor: Option<&str>) -> String {
    match cursor {
        Some(cursor) => format!("the same command with --from {cursor} continues"),
        None => "the same command starts again and skips what exists in the target".to_owned(),
    }
}

async fn copy_all(
    source: &Selection,
    to: &dyn Store,
    mode: PutMode,
    walk: &mut Walk<'_>,
    counts: &mut Counts,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let (from, to) = (Endpoint::of(&*source.store).await?, Endpoint::of(to).await?);
    while let Some(ids) = walk.page().await? {
        let copies =
            stream::iter(ids).map(async |id| copy(source, &from, &to, mode, id).await.map(|outcome| (id, outcome)));
        let mut copies = std::pin::pin!(copies.buffer_unordered(CONCURRENCY));
        while let Some((id, outcome)) = copies.try_next().await? {
            counts.add(id, &outcome);
            bar.set_position(counts.copied);
        }
    }
    Ok(())
}

/// A store, and the clock that its deadlines refer to.
struct Endpoint<'a> {
    store: &'a dyn Store,
    started: Instant,
    /// The clock's time at `started`.
    at_start: Time,
}

impl<'a> Endpoint<'a> {
    /// Determines the store's clock. A database computes deadlines by its own clock, which `ping` returns. Redis and
    /// memcached return the deadline that the writer computed by its own clock, which agrees with this machine's if
    /// both are set by NTP. A store without a server uses this machine's clock. So only a database is pinged, which
    /// also allows copying from a read-only folder.
    async fn of(store: &'a dyn Store) -> Result<Endpoint<'a>, Error> {
        let at_start = if has_own_clock(store) { store.ping().await? } else { SystemClock.now() };
        Ok(Endpoint { store, started: Instant::now(), at_start })
    }

    /// The store's present time.
    fn now(&self) -> Time {
        self.at_start + self.started.elapsed()
    }

    /// The remaining lifetime of a value; `Duration::MAX` if it never ends.
    fn left(&self, stored: &Stored) -> Duration {
        if stored.deadline == Time::MAX { Duration::MAX } else { stored.deadline.since(self.now()) }
    }

    /// Whether the stored value equals this one and has this remaining lifetime.
    fn has(&self, read: &Stored, value: &Bytes, lifetime: Duration) -> bool {
        let left = self.left(read);
        read.value == value && (left == lifetime || left.abs_diff(lifetime) <= TOLERANCE)
    }
}

/// The tolerated difference in lifetime after the copy: the time for writing and reading, and the rounding of clocks. A
/// session that ends within this time may have ended before it is read back.
const TOLERANCE: Duration = Duration::from_secs(5);

async fn copy(
    source: &Selection,
    from: &Endpoint<'_>,
    to: &Endpoint<'_>,
    mode: PutMode,
    id: SessionId,
) -> Result<CopyOutcome, Error> {
    let Some(found) = read_entry(from.store, id).await? else { return Ok(CopyOutcome::Expired) };
    let (Some(stored), State::Session(record)) = (found.stored, found.state) else { return Ok(CopyOutcome::Damaged) };
    if !source.includes(&record) {
        return Ok(CopyOutcome::OtherLayer);
    }
    let lifetime = from.left(&stored);
    if lifetime.is_zero() {
        return Ok(CopyOutcome::Expired);
    }
    let entry = Entry { value: stored.value.clone(), lifetime, tag: record.tag() };
    let PutResult::Stored(_) = to.store.put(id.into(), entry, mode).await? else {
        return Ok(CopyOutcome::AlreadyThere);
    };
    Ok(match to.store.get(id.into()).await? {
        Some(read) if to.has(&read, &stored.value, lifetime) => CopyOutcome::Copied,
        None if lifetime < TOLERANCE => CopyOutcome::Expired,
        _ => CopyOutcome::Unverified,
    })
}

impl Counts {
    fn add(&mut self, id: SessionId, outcome: &CopyOutcome) {
        match outcome {
            CopyOutcome::Copied => self.copied += 1,
            CopyOutcome::AlreadyThere => self.already += 1,
            CopyOutcome::Expired => self.expired += 1,
            CopyOutcome::Unverified => self.unverified.push(id),
            CopyOutcome::Damaged => self.damaged.push(id),
            CopyOutcome::OtherLayer => {}
        }
    }

    /// `stopped` is the cursor of an interrupted copy: `Some(None)` is the beginning.
    fn json(&self, stopped: Option<Option<&str>>) -> serde_json::Value {
        let ids = |ids: &[SessionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        serde_json::json!({
            "copied": self.copied,
            "already_there": self.already,
            "expired": self.expired,
            "not_as_written": ids(&self.unverified),
            "damaged": ids(&self.damaged),
            "is_complete": stopped.is_none(),
            "next": stopped.flatten(),
        })
    }

    /// Prints the ids of the sessions that an operator must check.
    fn print_error(&self) {
        for (ids, what) in [
            (&self.damaged, "is damaged and was not copied"),
            (&self.unverified, "was read back differently than written"),
        ] {
            for id in ids {
                output::print_error(&format!("{id} {what}"));
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: usize| indicatif::HumanCount(number as u64);
        writeln!(f, "{} copied and verified by reading back", count(self.copied, "session"))?;
        writeln!(f, "{} already in the target", indicatif::HumanCount(self.already))?;
        writeln!(f, "{} ended before they were copied", indicatif::HumanCount(self.expired))?;
        if !self.unverified.is_empty() {
            writeln!(f, "{} read back differently than written", number(self.unverified.len()))?;
        }
        write!(f, "{} damaged and not copied", number(self.damaged.len()))
    }
}

#[cfg(test)]
mod tests {
    use ampoule::MemoryStore;
    use ampoule::store::Version;

    use super::*;

    fn stored(deadline: Time) -> Stored {
        Stored { value: Bytes::from_static(b"x"), version: Version(1), deadline }
    }

    #[test]
    fn the_remaining_lifetime_is_computed_by_the_store_s_clock() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let store = MemoryStore::default();
        // A database whose clock is far ahead, and a copy that has run for a minute.
        let started = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let at_start = SystemClock.now() + 24 * HOUR;
        let endpoint = Endpoint { store: &store, started, at_start };
        let left = endpoint.left(&stored(at_start + HOUR));
        assert!(left <= HOUR - Duration::from_secs(60) && left > HOUR - Duration::from_secs(70), "{left:?}");
        assert_eq!(endpoint.left(&stored(at_start)), Duration::ZERO);
        assert_eq!(endpoint.left(&stored(Time::MAX)), Duration::MAX, "for ever is for ever");
    }

    #[test]
    fn a_copy_has_the_same_value_and_lifetime() {
        let store = MemoryStore::default();
        let endpoint = Endpoint { store: &store, started: Instant::now(), at_start: SystemClock.now() };
        let (value, minute) = (Bytes::from_static(b"x"), Duration::from_secs(60));
        let read = |lifetime| stored(endpoint.now() + lifetime);
        assert!(endpoint.has(&read(minute), &value, minute));
        assert!(endpoint.has(&stored(Time::MAX), &value, Duration::MAX));
        assert!(!endpoint.has(&read(minute), &Bytes::from_static(b"y"), minute), "another value");
        assert!(!endpoint.has(&read(minute * 2), &value, minute), "too long");
        assert!(!endpoint.has(&read(minute / 2), &value, minute), "too short");
        assert!(
            !endpoint.has(&stored(Time::MAX), &value, minute) && !endpoint.has(&read(minute), &value, Duration::MAX)
        );
    }
}
