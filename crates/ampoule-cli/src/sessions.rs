//! `ampoule sessions`: shows, ends, sweeps, counts and copies the sessions of a store.
//!
//! Every command uses only the `Store` contract, so it works the same on every store.

mod concurrency;
mod copy;
mod entry;
mod id;
mod list;
mod order;
mod revoke;
mod row;
mod show;
mod source;
mod stats;
mod sweep;
mod table;
mod value;
mod walk;

use ampoule::Error;
use ampoule_deploy::Registry;

use self::source::Source;
pub(crate) use self::source::check_exists;
use crate::Failure;

/// The command and the store.
#[derive(clap::Args)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    source: Source,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists sessions, one per line: principal, creation, last use, end.
    List(list::List),
    /// Shows one session with its values, which may be secret.
    Show(show::Show),
    /// Ends sessions at once: no request in progress brings them back.
    Revoke(revoke::Revoke),
    /// Removes expired records: sessions, the marks that ended sessions leave for seconds, cached values in the same
    /// store.
    Sweep(sweep::Sweep),
    /// Counts the sessions of the store, by reading all of them.
    Stats(stats::Stats),
    /// Copies all sessions to another store. Changes during the copy may be missed: stop what writes to either store.
    Copy(copy::Copy),
}

/// Runs one of the commands.
pub(crate) fn run(sessions: &Sessions, registry: &Registry) -> Result<(), Failure> {
    if let Command::Revoke(revoke) = &sessions.command {
        revoke.check();
    }
    crate::runtime()?.block_on(async {
        let source = sessions.source.open(registry)?;
        let store = &*source.store;
        match &sessions.command {
            Command::List(list) => list.run(&source).await,
            Command::Show(show) => show.run(store).await,
            Command::Revoke(revoke) => revoke.run(&source).await,
            Command::Sweep(sweep) => sweep.run(store).await,
            Command::Stats(stats) => stats.run(&source).await,
            Command::Copy(copy) => copy.run(&source, &sessions.source, registry).await,
        }
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error.report())
    }
}
