//! `ampoule sessions copy`: from store to store, each session as it is.

use std::time::{Duration, Instant};

use ampoule::inspect::State;
use ampoule::store::{Bytes, Entry, PutMode, PutResult, Store, Stored, Time};
use ampoule::{Clock, Error, SessionId, SystemClock};
use ampoule_deploy::Registry;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;

use super::in_flight::IN_FLIGHT;
use super::look::look;
use super::source::{Opened, Source, is_sealed, keeps_the_time, same_place};
use super::walk::Walk;
use crate::progress::counter;
use crate::text::{count, say};
use crate::{Failure, output};

#[derive(clap::Args)]
pub(super) struct Copy {
    /// Where to: the URL of a store, or an ini file, whose store is meant.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Write over what is already there, rather than keep it.
    #[arg(long)]
    overwrite: bool,
    /// Where an earlier copy said that it goes on.
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// What was done as JSON, on one line; of a copy that stopped it has where the next one goes on.
    #[arg(long)]
    json: bool,
}

/// What became of one record.
enum Fate {
    Copied,
    /// Written, and not found as it was written.
    Unproved,
    Already,
    Expired,
    Damaged,
    /// Of another layer than is meant.
    Other,
}

/// What became of all.
#[derive(Default)]
struct Tally {
    copied: u64,
    already: u64,
    expired: u64,
    unproved: Vec<SessionId>,
    damaged: Vec<SessionId>,
}

impl Copy {
    pub(super) async fn run(&self, from: &Opened, source: &Source, registry: &Registry) -> Result<(), Failure> {
        let to = source.open_target(&self.to, registry)?;
        check(&*from.store, &*to)?;
        let mode = if self.overwrite { PutMode::Always } else { PutMode::Create };
        let bar = counter("sessions copied", self.json);
        let mut walk = Walk::from(&*from.store, self.from.clone());
        let mut tally = Tally::default();
        let done = tokio::select! {
            done = copy_all(from, &*to, mode, &mut walk, &mut tally, &bar) => done.map_err(|error| error.report()),
            _ = tokio::signal::ctrl_c() => Err("stopped by Ctrl-C".to_owned()),
        };
        bar.finish_and_clear();
        match self.json {
            true => say(&tally.json(done.is_err().then(|| walk.here())).to_string())?,
            false => say(&tally.to_string())?,
        };
        tally.complain();
        match done {
            Err(why) => Err(Failure(format!("{why}\nnot all was copied; {}", go_on(walk.here())))),
            Ok(()) if !tally.unproved.is_empty() => Err(Failure("not all was copied as it is".to_owned())),
            Ok(()) => Ok(()),
        }
    }
}

/// What would go wrong, or lay open what is sealed.
fn check(from: &dyn Store, to: &dyn Store) -> Result<(), Failure> {
    let message = match (from, to) {
        _ if same_place(from, to) => "source and target are the same store",
        _ if is_sealed(from) && !is_sealed(to) => {
            "the source is sealed and the target is not: name as --to an ini file with an encrypt_key"
        }
        _ => return Ok(()),
    };
    Err(Failure(message.to_owned()))
}

fn go_on(place: Option<&str>) -> String {
    match place {
        Some(place) => format!("the same command with --from {place} goes on"),
        None => "the same command starts again; what is there already it passes over".to_owned(),
    }
}

async fn copy_all(
    source: &Opened,
    to: &dyn Store,
    mode: PutMode,
    walk: &mut Walk<'_>,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let (from, to) = (Side::of(&*source.store).await?, Side::of(to).await?);
    while let Some(ids) = walk.page().await? {
        let copies = stream::iter(ids).map(async |id| copy(source, &from, &to, mode, id).await.map(|fate| (id, fate)));
        let mut copies = std::pin::pin!(copies.buffer_unordered(IN_FLIGHT));
        while let Some((id, fate)) = copies.try_next().await? {
            tally.add(id, &fate);
            bar.set_position(tally.copied);
        }
    }
    Ok(())
}

/// A store, and the clock that the deadlines of its values are of.
struct Side<'a> {
    store: &'a dyn Store,
    started: Instant,
    /// What the clock said then.
    at_start: Time,
}

impl<'a> Side<'a> {
    /// A database reckons deadlines by its own clock, which `ping` tells. Redis and memcached return the deadline that the
    /// writer reckoned by its own clock: this machine's agrees with that one if both are set by NTP, whatever the server's
    /// says. A store without a server reads this machine's clock anyway. So only a database is asked, and a folder that can
    /// only be read is copied too.
    async fn of(store: &'a dyn Store) -> Result<Side<'a>, Error> {
        let at_start = if keeps_the_time(store) { store.ping().await? } else { SystemClock.now() };
        Ok(Side { store, started: Instant::now(), at_start })
    }

    /// The present: a copy may take hours.
    fn now(&self) -> Time {
        self.at_start + self.started.elapsed()
    }

    /// How long this value lives on. One that never ends in one store does not end in another.
    fn left(&self, stored: &Stored) -> Duration {
        if stored.deadline == Time::MAX { Duration::MAX } else { stored.deadline.since(self.now()) }
    }

    /// Whether the value is there, and lives on for so long.
    fn has(&self, read: &Stored, value: &Bytes, lifetime: Duration) -> bool {
        let left = self.left(read);
        read.value == value && (left == lifetime || left.abs_diff(lifetime) <= TOLERANCE)
    }
}

/// A lifetime may differ by this after the copy: by the time that writing and reading took, and what clocks are rounded to.
/// A session that ends within it may have ended before it is read back.
const TOLERANCE: Duration = Duration::from_secs(5);

async fn copy(source: &Opened, from: &Side<'_>, to: &Side<'_>, mode: PutMode, id: SessionId) -> Result<Fate, Error> {
    let Some(found) = look(from.store, id).await? else { return Ok(Fate::Expired) };
    let (Some(stored), State::Session(record)) = (found.stored, found.state) else { return Ok(Fate::Damaged) };
    if !source.means(&record) {
        return Ok(Fate::Other);
    }
    let lifetime = from.left(&stored);
    if lifetime.is_zero() {
        return Ok(Fate::Expired);
    }
    let entry = Entry { value: stored.value.clone(), lifetime, tag: record.tag() };
    let PutResult::Stored(_) = to.store.put(id.into(), entry, mode).await? else { return Ok(Fate::Already) };
    Ok(match to.store.get(id.into()).await? {
        Some(read) if to.has(&read, &stored.value, lifetime) => Fate::Copied,
        None if lifetime < TOLERANCE => Fate::Expired,
        _ => Fate::Unproved,
    })
}

impl Tally {
    fn add(&mut self, id: SessionId, fate: &Fate) {
        match fate {
            Fate::Copied => self.copied += 1,
            Fate::Already => self.already += 1,
            Fate::Expired => self.expired += 1,
            Fate::Unproved => self.unproved.push(id),
            Fate::Damaged => self.damaged.push(id),
            Fate::Other => {}
        }
    }

    /// `stopped` says where the page starts that was not done, `None` for the beginning.
    fn json(&self, stopped: Option<Option<&str>>) -> serde_json::Value {
        let ids = |ids: &[SessionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        serde_json::json!({
            "copied": self.copied,
            "already_there": self.already,
            "expired": self.expired,
            "not_as_written": ids(&self.unproved),
            "damaged": ids(&self.damaged),
            "is_complete": stopped.is_none(),
            "next": stopped.flatten(),
        })
    }

    /// Names what an operator must look at.
    fn complain(&self) {
        for (ids, what) in
            [(&self.damaged, "is damaged and was left"), (&self.unproved, "is not there as it was written")]
        {
            for id in ids {
                output::complain(&format!("{id} {what}"));
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: usize| indicatif::HumanCount(number as u64);
        writeln!(f, "{} copied, and verified by reading back", count(self.copied, "session"))?;
        writeln!(f, "{} already there", indicatif::HumanCount(self.already))?;
        writeln!(f, "{} expired meanwhile", indicatif::HumanCount(self.expired))?;
        if !self.unproved.is_empty() {
            writeln!(f, "{} written, and not read back as written", number(self.unproved.len()))?;
        }
        write!(f, "{} damaged, and left", number(self.damaged.len()))
    }
}

#[cfg(test)]
mod tests {
    use ampoule::MemoryStore;
    use ampoule::store::Version;

    use super::*;

    fn ending(deadline: Time) -> Stored {
        Stored { value: Bytes::from_static(b"x"), version: Version(1), deadline }
    }

    #[test]
    fn what_is_left_is_reckoned_by_the_store_s_own_present() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let store = MemoryStore::default();
        // A database whose clock is far ahead, and a copy that has run for a minute.
        let started = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let at_start = SystemClock.now() + 24 * HOUR;
        let side = Side { store: &store, started, at_start };
        let left = side.left(&ending(at_start + HOUR));
        assert!(left <= HOUR - Duration::from_secs(60) && left > HOUR - Duration::from_secs(70), "{left:?}");
        assert_eq!(side.left(&ending(at_start)), Duration::ZERO);
        assert_eq!(side.left(&ending(Time::MAX)), Duration::MAX, "for ever is for ever");
    }

    #[test]
    fn what_is_read_back_has_the_value_and_lives_as_long() {
        let store = MemoryStore::default();
        let side = Side { store: &store, started: Instant::now(), at_start: SystemClock.now() };
        let (value, minute) = (Bytes::from_static(b"x"), Duration::from_secs(60));
        let read = |lifetime| ending(side.now() + lifetime);
        assert!(side.has(&read(minute), &value, minute));
        assert!(side.has(&ending(Time::MAX), &value, Duration::MAX));
        assert!(!side.has(&read(minute), &Bytes::from_static(b"y"), minute), "another value");
        assert!(!side.has(&read(minute * 2), &value, minute), "too long");
        assert!(!side.has(&read(minute / 2), &value, minute), "too short");
        assert!(!side.has(&ending(Time::MAX), &value, minute) && !side.has(&read(minute), &value, Duration::MAX));
    }
}
