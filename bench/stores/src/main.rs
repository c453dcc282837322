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

/// What the arguments ask for.
#[derive(Default)]
struct Wanted {
    beaker: bool,
    quick: bool,
    only: Option<String>,
}

fn main() -> ExitCode {
    let Some(wanted) = wanted(std::env::args().skip(1)) else {
        eprintln!("usage: ampoule-bench-stores [--beaker] [--quick] [--only NAME]");
        return ExitCode::from(2);
    };
    let effort = if wanted.quick { Effort::QUICK } else { Effort::FULL };
    // One thread, as in one worker of a service; the task that measures runs on it, and so do the drivers' own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let only = wanted.only;
    let work = async move {
        if wanted.beaker {
            return beaker::print(effort, only.as_deref()).await;
        }
        stores::print(effort, only.as_deref()).await;
        ExitCode::SUCCESS
    };
    runtime.block_on(runtime.spawn(work)).expect("nothing panics")
}

fn wanted(mut words: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--beaker" => wanted.beaker = true,
            "--quick" => wanted.quick = true,
            "--only" => wanted.only = Some(words.next()?),
            _ => return None,
        }
    }
    Some(wanted)
}
