//! What a session costs, beside the peer and over the bare router, all in one run. See README.md.

mod alloc;
mod cache;
mod promises;
mod scale;
mod scenario;
mod sites;
#[cfg(feature = "sweeps")]
mod sweeps;

use std::process::{Command, ExitCode};
use std::time::Instant;

use scenario::{SCENARIOS, Scenario};
use sites::Who;
use tokio::runtime::Runtime;

#[global_allocator]
static COUNTING: alloc::Counting = alloc::Counting;

/// What one subject costs in one scenario.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: f64,
    allocations: u64,
    instructions: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match words[..] {
        ["--check"] => return check(&runtime),
        ["--one", scenario, who, count] => one(&runtime, scenario, who, count.parse().expect("a number")),
        ["--cache"] => cache::print(&runtime),
        ["--scale"] => scale::print(&runtime),
        #[cfg(feature = "sweeps")]
        ["--sweeps"] => sweeps::print(1_000_000, None),
        #[cfg(feature = "sweeps")]
        ["--sweeps", count] => sweeps::print(count.parse().expect("a number"), None),
        #[cfg(feature = "sweeps")]
        ["--sweeps", count, store] => sweeps::print(count.parse().expect("a number"), Some(store)),
        ["--promises"] => promises::print(&runtime),
        [] => table(&runtime, false),
        ["--instructions"] => table(&runtime, true),
        _ => {
            eprintln!("usage: ampoule-bench [--cache | --check | --instructions | --promises | --scale]");
            eprintln!("with --features sweeps also: --sweeps [COUNT [STORE]]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Allocations are exact, so they can be held by a test.
fn check(runtime: &Runtime) -> ExitCode {
    let mut over = 0;
    for scenario in SCENARIOS {
        let [bare, ours] = [Who::Bare, scenario.who].map(|who| allocations(runtime, &scenario, who));
        let count = ours.saturating_sub(bare);
        let verdict = if count > scenario.ceiling { "TOO MANY" } else { "ok" };
        println!("{:45} {count:3} allocations over bare, at most {:3}: {verdict}", scenario.name, scenario.ceiling);
        over += u8::from(count > scenario.ceiling);
    }
    ExitCode::from(over.min(1))
}

fn allocations(runtime: &Runtime, scenario: &Scenario, who: Who) -> u64 {
    runtime.block_on(async {
        let mut ready = scenario.on(who).await;
        for _ in 0..100 {
            ready.ask().await;
        }
        let before = alloc::calls();
        for _ in 0..1_000 {
            ready.ask().await;
        }
        // Rounded: a table that grows now and then is no cost of each request.
        (alloc::calls() - before + 500) / 1_000
    })
}

fn table(runtime: &Runtime, with_instructions: bool) {
    println!("| over the bare router | ours | tower-sessions 0.15, signed | ratio | at most |");
    println!("|---|---|---|---|---|");
    for scenario in SCENARIOS {
        let mut costs = times(runtime, &scenario);
        for (who, cost) in &mut costs {
            cost.allocations = allocations(runtime, &scenario, *who);
            cost.instructions = if with_instructions { instructions(&scenario, *who) } else { 0 };
        }
        let [bare, ours, peer] = costs.map(|(_, cost)| cost);
        let (ours, peer) = (over(ours, bare), over(peer, bare));
        let budget = if scenario.budget > 0.0 { format!("{:.2}", scenario.budget) } else { String::new() };
        let ratio = ours.nanoseconds / peer.nanoseconds;
        println!("| {} | {} | {} | {ratio:.2} | {budget} |", scenario.name, show(ours), show(peer));
    }
}

fn over(cost: Cost, bare: Cost) -> Cost {
    Cost {
        nanoseconds: cost.nanoseconds - bare.nanoseconds,
        allocations: cost.allocations.saturating_sub(bare.allocations),
        instructions: cost.instructions.saturating_sub(bare.instructions),
    }
}

fn show(cost: Cost) -> String {
    let instructions =
        if cost.instructions > 0 { format!(", {} instructions", cost.instructions) } else { String::new() };
    format!("{:.0} ns, {} allocations{instructions}", cost.nanoseconds, cost.allocations)
}

/// The median of rounds in which the subjects take turns, so that what disturbs one disturbs all.
fn times(runtime: &Runtime, scenario: &Scenario) -> [(Who, Cost); 3] {
    const ROUNDS: usize = 21;
    const EACH: u32 = 5_000;
    let subjects = [Who::Bare, scenario.who, Who::Peer];
    let mut rounds: [Vec<f64>; 3] = Default::default();
    runtime.block_on(async {
        for _ in 0..ROUNDS {
            for (who, round) in subjects.iter().zip(&mut rounds) {
                let mut ready = scenario.on(*who).await;
                for _ in 0..200 {
                    ready.ask().await;
                }
                let started = Instant::now();
                for _ in 0..EACH {
                    ready.ask().await;
                }
                round.push(started.elapsed().as_nanos() as f64 / f64::from(EACH));
            }
        }
    });
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let mut rounds = rounds.into_iter().map(median);
    subjects.map(|who| (who, Cost { nanoseconds: rounds.next().unwrap_or(f64::NAN), ..Cost::default() }))
}

/// What callgrind counts for one request: the difference of two runs that differ by 400 requests.
fn instructions(scenario: &Scenario, who: Who) -> u64 {
    let run = |count: u64| -> u64 {
        let program = std::env::current_exe().expect("our own path");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        valgrind.args(["--one", scenario.name, &format!("{who:?}"), &count.to_string()]);
        let output = valgrind.output().expect("valgrind is installed");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line =
            text.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind says what it counted");
        line.1.trim().parse().expect("a number")
    };
    (run(600) - run(200)) / 400
}

fn one(runtime: &Runtime, scenario: &str, who: &str, count: u64) {
    let scenario = SCENARIOS.iter().find(|known| known.name == scenario).expect("a known scenario");
    let who = Who::ALL.into_iter().find(|known| format!("{known:?}") == who).expect("a known subject");
    runtime.block_on(async {
        let mut ready = scenario.on(who).await;
        for _ in 0..count {
            ready.ask().await;
        }
    });
}
