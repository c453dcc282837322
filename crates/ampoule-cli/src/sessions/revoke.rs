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

use super::concurrency::CONCURRENCY;
use super::id::{self, IdArgument};
use super::source::{MAX_ROUNDS, Selection};
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text::{count, print};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(super) struct Revoke {
    /// The ids of the sessions, or the first six or more characters of each. Write -- before an id that starts with -.
    #[arg(value_name = "ID", value_parser = id::parse, group = "which")]
    ids: Vec<IdArgument>,
    /// All sessions of a principal, such as user:42.
    #[arg(long, group = "which")]
    principal: Option<String>,
    /// All sessions, or with --session all of that layer. Asks for confirmation.
    #[arg(long, group = "which")]
    all: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON, on one line: {"ended": N, "already_gone": N}.
    #[arg(long)]
    json: bool,
}

/// The numbers of revoked sessions, and of those that had ended before.
#[derive(Default)]
struct Counts {
    ended: u64,
    gone: u64,
}

impl Revoke {
    /// Exits with a usage error if --all needs a confirmation and there is no terminal.
    pub(super) fn check(&self) {
        if self.all && !self.yes && !std::io::stdin().is_terminal() {
            let message = "--all asks for confirmation, which needs a terminal; without one, write --yes\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit();
        }
    }

    pub(super) async fn run(&self, source: &Selection) -> Result<(), Failure> {
        if self.all && !self.yes {
            confirm(source)?;
        }
        let mut counts = Counts::default();
        let done = self.end_all(source, &mut counts).await;
        match self.json {
            true => print(&json!({ "ended": counts.ended, "already_gone": counts.gone }).to_string())?,
            false => print(&counts.to_string())?,
        };
        done
    }

    async fn end_all(&self, source: &Selection, counts: &mut Counts) -> Result<(), Failure> {
        let store = &*source.store;
        if self.all {
            return Ok(end_everything(source, counts, self.json).await?);
        }
        match &self.principal {
            Some(principal) => Ok(end_of_principal(source, principal, counts).await?),
            None => {
                let ids = id::resolve(store, &self.ids, self.json).await?;
                Ok(counts.end(store, ids).await?)
            }
        }
    }
}

async fn end_everything(source: &Selection, counts: &mut Counts, json: bool) -> Result<(), Error> {
    let bar = counter("sessions ended", json);
    let mut walk = Walk::from(&*source.store, None);
    while let Some(ids) = walk.page().await? {
        counts.end(&*source.store, source.included(ids).await?).await?;
        bar.set_position(counts.ended);
    }
    bar.finish_and_clear();
    // Sessions that expired during the scan are not reported: no argument named them.
    counts.gone = 0;
    Ok(())
}

async fn end_of_principal(source: &Selection, principal: &str, counts: &mut Counts) -> Result<(), Error> {
    let mut principal = source.principal(principal).await?;
    // Repeats until none is found, not until none was ended: a session that was found may have ended for a login
    // meanwhile.
    for _ in 0..MAX_ROUNDS {
        let found = principal.sessions().await?;
        if found.is_empty() {
            return Ok(());
        }
        counts.end(&*source.store, found).await?;
        counts.gone = 0;
    }
    Err(Error::new(Conflict, "the principal logs in faster than its sessions can be ended"))
}

impl Counts {
    async fn end(&mut self, store: &dyn Store, ids: Vec<SessionId>) -> Result<(), Error> {
        let mut ends = stream::iter(ids).map(|id| end(store, id)).buffer_unordered(CONCURRENCY);
        while let Some(ended) = ends.try_next().await? {
            *(if ended { &mut self.ended } else { &mut self.gone }) += 1;
        }
        Ok(())
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended", count(self.ended, "session"))?;
        if self.gone > 0 { write!(f, ", {} already gone", self.gone) } else { Ok(()) }
    }
}

fn confirm(source: &Selection) -> Result<(), Failure> {
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
