//! `ampoule cache`: counts and clears what the stores of an application's caches hold.

mod clear;
mod source;
mod stats;

use ampoule_deploy::Registry;

use self::source::Source;
use crate::Failure;

/// The command and the caches.
#[derive(clap::Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    source: Source,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Counts what the stores hold, by reading all of it.
    Stats(stats::Stats),
    /// Clears a namespace, the values of a tag, or everything, for every process that uses the store. It takes effect
    /// at once, except that a process with a memory tier that is not notified of changes keeps its values for up to
    /// `memory_expire`.
    Clear(clear::Clear),
}

/// Runs one of the commands.
pub(crate) fn run(cache: &Cache, registry: &Registry) -> Result<(), Failure> {
    crate::runtime()?.block_on(async {
        let backends = cache.source.open(registry)?;
        match &cache.command {
            Command::Stats(stats) => stats.run(&backends).await,
            Command::Clear(clear) => clear.run(&backends).await,
        }
    })
}
