//! `ampoule sessions revoke`: ends sessions.

use std::io::{IsTerminal, Write};

use ampoule::Error;
use ampoule::ErrorKind::Conflict;
use ampoule::store::{Store, StoreKey, Tag};
use clap::ArgGroup;
use clap::error::ErrorKind;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::IN_FLIGHT;
use super::ending::end;
use super::key::{self, Named};
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text::{count, say};

/// How often the sessions of a principal are looked for again.
const ROUNDS: usize = 64;

#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(super) struct Revoke {
    /// The keys of the sessions, or the first six characters or more of each; one that starts with `-` behind `--`.
    #[arg(value_name = "KEY", value_parser = key::read, group = "which")]
    keys: Vec<Named>,
    /// All sessions of a principal, such as user:42.
    #[arg(long, group = "which")]
    principal: Option<String>,
    /// All sessions there are. Asks first.
    #[arg(long, group = "which")]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// What has been done.
#[derive(Default)]
struct Tally {
    ended: u64,
    gone: u64,
}

impl Revoke {
    /// Ends the process, as other wrong usage does, if all are to end and nobody can be asked.
    pub(super) fn check(&self) {
        if self.all && !self.yes && !std::io::stdin().is_terminal() {
            let message = "--all ends every session and asks first, which needs a terminal; without one, say --yes\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit();
        }
    }

    pub(super) async fn run(&self, store: &dyn Store) -> Result<(), Failure> {
        if self.all && !self.yes {
            confirm(store)?;
        }
        let mut tally = Tally::default();
        let done = self.end_all(store, &mut tally).await;
        say(&tally.to_string())?;
        done
    }

    async fn end_all(&self, store: &dyn Store, tally: &mut Tally) -> Result<(), Failure> {
        if self.all {
            return Ok(end_everything(store, tally).await?);
        }
        match &self.principal {
            Some(principal) => Ok(end_tagged(store, Tag::of(principal), tally).await?),
            None => {
                let keys = key::resolve(store, &self.keys, false).await?;
                Ok(tally.end(store, keys).await?)
            }
        }
    }
}

async fn end_everything(store: &dyn Store, tally: &mut Tally) -> Result<(), Error> {
    let bar = counter("sessions ended", false);
    let mut walk = Walk::from(store, None);
    while let Some(keys) = walk.page().await? {
        tally.end(store, keys).await?;
        bar.set_position(tally.ended);
    }
    bar.finish_and_clear();
    // What a pointer led to, or what expired between: nobody named it.
    tally.gone = 0;
    Ok(())
}

async fn end_tagged(store: &dyn Store, tag: Tag, tally: &mut Tally) -> Result<(), Error> {
    // Again, for what came to be while the others ended: the new id of a login that was under way. Pointers to what has
    // ended stay, for the seconds they have.
    for _ in 0..ROUNDS {
        let before = tally.ended;
        tally.end(store, store.tagged(tag).await?).await?;
        tally.gone = 0;
        if tally.ended == before {
            return Ok(());
        }
    }
    Err(Error::new(Conflict, "the principal logs in faster than its sessions can be ended"))
}

impl Tally {
    async fn end(&mut self, store: &dyn Store, keys: Vec<StoreKey>) -> Result<(), Error> {
        let mut ends = stream::iter(keys).map(|key| end(store, key)).buffer_unordered(IN_FLIGHT);
        while let Some(ended) = ends.try_next().await? {
            *(if ended { &mut self.ended } else { &mut self.gone }) += 1;
        }
        Ok(())
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended", count(self.ended, "session"))?;
        if self.gone > 0 { write!(f, ", {} already gone", self.gone) } else { Ok(()) }
    }
}

fn confirm(store: &dyn Store) -> Result<(), Failure> {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "This ends every session in {}, and logs everybody out. Type yes to do it: ", store.describe());
    let _ = err.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Failure("the answer was not yes: no session was ended".to_owned())),
    }
}
