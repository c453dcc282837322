//! Measures the overhead of a session over the routes without one, and compares it with the peers. See README.md.

mod alloc;
mod cache;
mod check;
mod measure;
mod parts;
mod plot;
mod promises;
mod scale;
mod scenario;
mod sites;
#[cfg(feature = "sweeps")]
mod sweeps;
mod table;
mod threads;
mod turns;

use std::process::ExitCode;

#[global_allocator]
static COUNTING: alloc::CountingAllocator = alloc::CountingAllocator;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match words[..] {
        [] => table::in_memory(&runtime, false, None),
        ["--instructions"] => table::in_memory(&runtime, true, None),
        ["--plot", folder] => {
            table::in_memory(&runtime, false, Some(&format!("{folder}/ratios.svg")));
            scale::print(&runtime, Some(folder));
        }
        ["--cookies"] => table::in_cookie(&runtime),
        ["--cache"] => cache::print(&runtime),
        ["--parts"] => parts::print(&runtime),
        ["--promises"] => promises::print(&runtime),
        ["--scale"] => scale::print(&runtime, None),
        ["--threads"] => threads::print(),
        ["--check"] => return check::run(&runtime),
        ["--one", scenario, subject, count] => {
            measure::requests(&runtime, scenario, subject, count.parse().expect("a number"));
        }
        ["--turns", scenario, subject] => turns::run_child(&runtime, scenario, subject),
        #[cfg(feature = "sweeps")]
        ["--sweeps"] => sweeps::print(1_000_000, None),
        #[cfg(feature = "sweeps")]
        ["--sweeps", count] => sweeps::print(count.parse().expect("a number"), None),
        #[cfg(feature = "sweeps")]
        ["--sweeps", count, store] => sweeps::print(count.parse().expect("a number"), Some(store)),
        _ => {
            let tables = "--cache | --check | --cookies | --instructions | --parts | --plot FOLDER | --promises | --scale | --threads";
            eprintln!("usage: ampoule-bench [{tables}]");
            eprintln!("with --features sweeps also: --sweeps [COUNT [STORE]]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
