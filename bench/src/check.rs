//! Checks the counts that do not depend on the load of the machine: allocations and instructions.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::measure;
use crate::scenario::{IN_COOKIE, IN_MEMORY};
use crate::sites::Subject;

/// Compares each scenario with its ceilings.
pub fn run(runtime: &Runtime) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut line = |what: &str, count: u64, most: u64| {
        let verdict = if count > most { "TOO MANY" } else { "ok" };
        println!("{what:75} {count:7}, at most {most:7}: {verdict}");
        if count > most {
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
