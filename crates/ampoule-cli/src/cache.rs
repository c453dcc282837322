//! `ampoule cache`: what the stores of an application's caches hold, counted and cleared.

mod clear;
mod source;
mod stats;

use ampoule_deploy::Registry;

use self::source::Source;
use crate::Failure;

/// Which command, on which caches.
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
    /// Clears a namespace, what carries a tag, or everything, for every process that uses the store: at once, but where
    /// memory stands before it and nothing tells it of changes, after `memory_expire`.
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
