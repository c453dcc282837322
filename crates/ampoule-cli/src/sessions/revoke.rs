//! `ampoule sessions revoke`: ends sessions.

use std::io::{IsTerminal, Write};

use ampoule::ErrorKind::Conflict;
use ampoule::inspect::end;
use ampoule::store::Store;
use ampoule::{Error, SessionId};
use clap::ArgGroup;
use clap::error::ErrorKind;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

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
    /// All sessions there are, or with --session all of that layer. Asks first.
    #[arg(long, group = "which")]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// What was done as JSON, on one line: {"ended": N, "already_gone": N}.
    #[arg(long)]
    json: bool,
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
            confirm(source)?;
        }
        let mut tally = Tally::default();
        let done = self.end_all(source, &mut tally).await;
        match self.json {
            true => say(&json!({ "ended": tally.ended, "already_gone": tally.gone }).to_string())?,
            false => say(&tally.to_string())?,
        };
        done
    }

    async fn end_all(&self, source: &Opened, tally: &mut Tally) -> Result<(), Failure> {
        let store = &*source.store;
        if self.all {
            return Ok(end_everything(source, tally, self.json).await?);
        }
        match &self.principal {
            Some(principal) => Ok(end_of_principal(source, principal, tally).await?),
            None => {
                let ids = id::resolve(store, &self.ids, self.json).await?;
                Ok(tally.end(store, ids).await?)
            }
        }
    }
}

async fn end_everything(source: &Opened, tally: &mut Tally, json: bool) -> Result<(), Error> {
    let bar = counter("sessions ended", json);
    let mut walk = Walk::from(&*source.store, None);
    while let Some(ids) = walk.page().await? {
        tally.end(&*source.store, source.meant(ids).await?).await?;
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

fn confirm(source: &Opened) -> Result<(), Failure> {
    let mut err = std::io::stderr().lock();
    let (of, store) = (source.of_layer(), source.store.describe());
    let _ = write!(err, "This ends every session{of} in {store}, and logs all its users out. Type yes to do it: ");
    let _ = err.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Failure("the answer was not yes: no session was ended".to_owned())),
    }
}
