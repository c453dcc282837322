//! Measures the cost of a request: time, allocations, instructions.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::alloc;
use crate::scenario::Scenario;
use crate::sites::Subject;

/// The cost of one request.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub nanoseconds: f64,
    pub allocations: u64,
    pub instructions: u64,
}

impl Cost {
    /// The cost without another's.
    pub fn over(self, bare: Cost) -> Cost {
        Cost {
            nanoseconds: self.nanoseconds - bare.nanoseconds,
            allocations: self.allocations.saturating_sub(bare.allocations),
            instructions: self.instructions.saturating_sub(bare.instructions),
        }
    }
}

/// The exact number of allocations.
pub fn allocations(runtime: &Runtime, scenario: &Scenario, subject: Subject) -> u64 {
    runtime.block_on(async {
        let mut ready = scenario.on(subject).await;
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

/// Nanoseconds of one run of something that does not wait, the median of rounds.
pub fn time<T>(run: impl Fn() -> T) -> f64 {
    let round = |_| {
        let started = Instant::now();
        (0..5_000).for_each(|_| drop(black_box(run())));
        started.elapsed().as_nanos() as f64 / 5_000.0
    };
    median((0..21).map(round).collect())
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The instructions of one request by callgrind, from two runs that differ by 200 requests. The number does not depend on the
/// load of the machine. valgrind has no SHA instructions, so hashes are counted as on an old processor.
pub fn instructions(scenario: &Scenario, subject: Subject) -> u64 {
    let run = |count: u64| {
        let program = std::env::current_exe().expect("our own path");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        valgrind.args(["--one", scenario.name, &format!("{subject:?}"), &count.to_string()]);
        valgrind.stderr(Stdio::piped()).spawn().expect("valgrind is installed (Debian: valgrind)")
    };
    // Both at once: they only count.
    let [few, many] = [run(100), run(300)].map(|run| {
        let output = run.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        line.expect("callgrind says what it counted").1.trim().parse::<u64>().expect("a number")
    });
    (many - few) / 200
}

/// Runs `--one`, for callgrind and other profilers: only this number of requests.
pub fn one(runtime: &Runtime, scenario: &str, subject: &str, count: u64) {
    let scenario = Scenario::named(scenario).expect("a known scenario");
    let subject = Subject::named(subject).expect("a known subject");
    runtime.block_on(async {
        let mut ready = scenario.on(subject).await;
        for _ in 0..count {
            ready.ask().await;
        }
    });
}
