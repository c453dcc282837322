//! `ampoule sessions`: what a store holds, shown, ended, swept, counted and copied.
//!
//! Every command works through the `Store` contract alone, so it does on any engine what it does on files.

mod copy;
mod id;
mod in_flight;
mod list;
mod look;
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
pub(crate) use self::source::is_there;
use crate::Failure;

/// Which command, on which store.
#[derive(clap::Args)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    source: Source,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists sessions, a line each: whose they are, when they were made and used, when they end.
    List(list::List),
    /// Shows one session with its values, which may be secret.
    Show(show::Show),
    /// Ends sessions at once: no request that is under way brings them back.
    Revoke(revoke::Revoke),
    /// Frees what has expired: sessions, the marks that ended ones leave for seconds, and cached values in the same store.
    Sweep(sweep::Sweep),
    /// Counts what the store holds, by reading all of it.
    Stats(stats::Stats),
    /// Copies all sessions to another store: while nothing writes to either, or what changes meanwhile may be missed.
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
