//! `ampoule sessions copy`: from store to store, each session as it is.

use ampoule::store::{Entry, Outcome, Put, Store, StoreKey, Tag};
use ampoule::{Clock, Error, SystemClock};
use ampoule_deploy::Registry;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;

use super::IN_FLIGHT;
use super::look::{State, follow, look};
use super::source::{Source, is_sealed, same_place};
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
}

/// What became of one record.
enum Fate {
    Copied,
    /// Written, and not found as it was written.
    Unproved,
    Already,
    Expired,
    Damaged,
}

/// What became of all.
#[derive(Default)]
struct Tally {
    copied: u64,
    already: u64,
    expired: u64,
    unproved: Vec<StoreKey>,
    damaged: Vec<StoreKey>,
}

impl Copy {
    pub(super) async fn run(&self, from: &dyn Store, source: &Source, registry: &Registry) -> Result<(), Failure> {
        let to = source.open_target(&self.to, registry)?;
        check(from, &*to)?;
        let when = if self.overwrite { Put::Always } else { Put::Create };
        let bar = counter("sessions copied", false);
        let mut walk = Walk::from(from, self.from.clone());
        let mut tally = Tally::default();
        let done = tokio::select! {
            done = copy_all(from, &*to, when, &mut walk, &mut tally, &bar) => done.map_err(|error| error.to_string()),
            _ = tokio::signal::ctrl_c() => Err("stopped by Ctrl-C".to_owned()),
        };
        bar.finish_and_clear();
        say(&tally.to_string())?;
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
    from: &dyn Store,
    to: &dyn Store,
    when: Put,
    walk: &mut Walk<'_>,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Error> {
    while let Some(keys) = walk.page().await? {
        let copies = stream::iter(keys).map(async |key| copy(from, to, when, key).await.map(|fate| (key, fate)));
        let mut copies = std::pin::pin!(copies.buffer_unordered(IN_FLIGHT));
        while let Some((key, fate)) = copies.try_next().await? {
            tally.add(key, &fate);
            bar.set_position(tally.copied);
        }
    }
    Ok(())
}

async fn copy(from: &dyn Store, to: &dyn Store, when: Put, key: StoreKey) -> Result<Fate, Error> {
    let Some(found) = look(from, key).await? else { return Ok(Fate::Expired) };
    let (stored, tag) = match (found.stored, found.state) {
        (Some(stored), State::Session(record)) => (stored, record.tag()),
        (Some(stored), State::Moved(to)) => (stored, tag_of(from, to).await?),
        (_, State::Damaged(_)) | (None, _) => return Ok(Fate::Damaged),
    };
    let entry = Entry { value: stored.value.clone(), deadline: stored.deadline, tag };
    let Outcome::Stored(_) = to.put(key, entry, when).await? else { return Ok(Fate::Already) };
    match to.get(key).await {
        Ok(Some(read)) if (&read.value, read.deadline) == (&stored.value, stored.deadline) => Ok(Fate::Copied),
        Ok(None) if stored.deadline <= SystemClock.now() => Ok(Fate::Expired),
        Ok(_) => Ok(Fate::Unproved),
        Err(error) => Err(error),
    }
}

/// A pointer has the tag of what it leads to.
async fn tag_of(store: &dyn Store, key: StoreKey) -> Result<Option<Tag>, Error> {
    let found = follow(store, key).await?;
    Ok(found.and_then(|found| if let State::Session(record) = found.state { record.tag() } else { None }))
}

impl Tally {
    fn add(&mut self, key: StoreKey, fate: &Fate) {
        match fate {
            Fate::Copied => self.copied += 1,
            Fate::Already => self.already += 1,
            Fate::Expired => self.expired += 1,
            Fate::Unproved => self.unproved.push(key),
            Fate::Damaged => self.damaged.push(key),
        }
    }

    /// Names what an operator must look at.
    fn complain(&self) {
        for (keys, what) in
            [(&self.damaged, "is damaged and was left"), (&self.unproved, "is not there as it was written")]
        {
            for key in keys {
                output::complain(&format!("{key} {what}"));
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |number: usize| indicatif::HumanCount(number as u64);
        writeln!(f, "{} copied, and verified by reading back", count(self.copied, "record"))?;
        writeln!(f, "{} already there", indicatif::HumanCount(self.already))?;
        writeln!(f, "{} expired meanwhile", indicatif::HumanCount(self.expired))?;
        if !self.unproved.is_empty() {
            writeln!(f, "{} written, and not read back as written", number(self.unproved.len()))?;
        }
        write!(f, "{} damaged, and left", number(self.damaged.len()))
    }
}
