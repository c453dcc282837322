//! Compares allocations and instructions, which do not depend on the load of the machine, with their ceilings.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::measure;
use crate::scenario::{IN_COOKIE, IN_MEMORY};
use crate::sites::Subject;

/// Checks each scenario. The exit code is 1 if a count exceeds its ceiling.
pub fn run(runtime: &Runtime) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut line = |what: &str, count: u64, ceiling: u64| {
        let result = if count > ceiling { "EXCEEDED" } else { "ok" };
        println!("{what:75} {count:7}, ceiling {ceiling:7}: {result}");
        if count > ceiling {
            code = ExitCode::FAILURE;
        }
    };
    for scenario in IN_MEMORY.iter().chain(&IN_COOKIE) {
        let [bare, ours] =
            [Subject::Bare, scenario.subject].map(|subject| measure::allocations(runtime, scenario, subject));
        let (allocations, instructions) = scenario.ceilings;
        line(&format!("{}: allocations over bare", scenario.name), ours.saturating_sub(bare), allocations);
        let [bare, ours] = [Subject::Bare, scenario.subject].map(|subject| measure::instructions(scenario, subject));
        line(&format!("{}: instructions over bare", scenario.name), ours.saturating_sub(bare), instructions);
    }
    code
}
