//! `ampoule sessions revoke`: ends sessions.

use std::io::{IsTerminal, Write};

use ampoule::ErrorKind::Conflict;
use ampoule::inspect::end;
use ampoule::store::Store;
use ampoule::{Error, SessionId};
use clap::ArgGroup;
use clap::error::ErrorKind;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::id::{self, Named};
use super::in_flight::IN_FLIGHT;
use super::source::{Opened, ROUNDS};
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text::{count, say};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(super) struct Revoke {
    /// The ids of the sessions, or the first six characters or more of each; one that starts with `-` behind `--`.
    #[arg(value_name = "ID", value_parser = id::read, group = "which")]
    ids: Vec<Named>,
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
    /// Ends the process, as other wrong usage does, if all are to end and there is no terminal to ask at.
    pub(super) fn check(&self) {
        if self.all && !self.yes && !std::io::stdin().is_terminal() {
            let message = "--all ends every session and asks first, which needs a terminal; without one, say --yes\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit();
        }
    }

    pub(super) async fn run(&self, source: &Opened) -> Result<(), Failure> {
        if self.all && !self.yes {
            confirm(&*source.store)?;
        }
        let mut tally = Tally::default();
        let done = self.end_all(source, &mut tally).await;
        say(&tally.to_string())?;
        done
    }

    async fn end_all(&self, source: &Opened, tally: &mut Tally) -> Result<(), Failure> {
        let store = &*source.store;
        if self.all {
            return Ok(end_everything(store, tally).await?);
        }
        match &self.principal {
            Some(principal) => Ok(end_of_principal(source, principal, tally).await?),
            None => {
                let ids = id::resolve(store, &self.ids, false).await?;
                Ok(tally.end(store, ids).await?)
            }
        }
    }
}

async fn end_everything(store: &dyn Store, tally: &mut Tally) -> Result<(), Error> {
    let bar = counter("sessions ended", false);
    let mut walk = Walk::from(store, None);
    while let Some(ids) = walk.page().await? {
        tally.end(store, ids).await?;
        bar.set_position(tally.ended);
    }
    bar.finish_and_clear();
    // What expired between was not asked for.
    tally.gone = 0;
    Ok(())
}

async fn end_of_principal(source: &Opened, principal: &str, tally: &mut Tally) -> Result<(), Error> {
    let mut principal = source.principal(principal).await?;
    // Again until none is found, not until none was ended: what was found may have ended for a login that came meanwhile.
    for _ in 0..ROUNDS {
        let found = principal.sessions().await?;
        if found.is_empty() {
            return Ok(());
        }
        tally.end(&*source.store, found).await?;
        tally.gone = 0;
    }
    Err(Error::new(Conflict, "the principal logs in faster than its sessions can be ended"))
}

impl Tally {
    async fn end(&mut self, store: &dyn Store, ids: Vec<SessionId>) -> Result<(), Error> {
        let mut ends = stream::iter(ids).map(|id| end(store, id)).buffer_unordered(IN_FLIGHT);
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
    let _ = write!(err, "This ends every session in {}, and logs all users out. Type yes to do it: ", store.describe());
    let _ = err.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Failure("the answer was not yes: no session was ended".to_owned())),
    }
}
