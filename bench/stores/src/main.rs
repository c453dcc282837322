//! Compares stores with raw drivers and the peers' stores, and Ampoule with Beaker. See README.md.

mod beaker;
mod ours;
mod peers;
mod raw;
mod rounds;
mod sessions;
mod stores;
mod table;

use std::process::ExitCode;

use rounds::Effort;

/// The arguments of the command line.
#[derive(Default)]
struct Arguments {
    beaker: bool,
    quick: bool,
    only: Option<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: ampoule-bench-stores [--beaker] [--quick] [--only NAME]");
        return ExitCode::from(2);
    };
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    // One thread, as in one worker of a service, runs the measuring task and the drivers' tasks.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let only = arguments.only;
    let work = async move {
        if arguments.beaker {
            return beaker::print(effort, only.as_deref()).await;
        }
        stores::print(effort, only.as_deref()).await;
        ExitCode::SUCCESS
    };
    runtime.block_on(runtime.spawn(work)).expect("nothing panics")
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--beaker" => arguments.beaker = true,
            "--quick" => arguments.quick = true,
            "--only" => arguments.only = Some(words.next()?),
            _ => return None,
        }
    }
    Some(arguments)
}
