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
    /// Returns the difference between this cost and the cost of the routes without a session.
    pub fn over(self, bare: Cost) -> Cost {
        Cost {
            nanoseconds: self.nanoseconds - bare.nanoseconds,
            allocations: self.allocations.saturating_sub(bare.allocations),
            instructions: self.instructions.saturating_sub(bare.instructions),
        }
    }
}

/// Counts the allocations of one request.
pub fn allocations(runtime: &Runtime, scenario: &Scenario, subject: Subject) -> u64 {
    runtime.block_on(async {
        let mut prepared = scenario.prepare(subject).await;
        for _ in 0..100 {
            prepared.send().await;
        }
        let before = alloc::calls();
        for _ in 0..1_000 {
            prepared.send().await;
        }
        // Rounded, so that the occasional growth of a table does not count.
        (alloc::calls() - before + 500) / 1_000
    })
}

/// Measures a function that does not wait: nanoseconds of one call, the median of 21 rounds.
pub fn time<T>(function: impl Fn() -> T) -> f64 {
    let round = |_| {
        let started = Instant::now();
        (0..5_000).for_each(|_| drop(black_box(function())));
        started.elapsed().as_nanos() as f64 / 5_000.0
    };
    median((0..21).map(round).collect())
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Counts the instructions of one request with callgrind, from two runs that differ by 200 requests. The count does not
/// depend on the load of the machine. valgrind does not emulate the SHA instructions, so hashes are counted as on a
/// processor without them.
pub fn instructions(scenario: &Scenario, subject: Subject) -> u64 {
    let run = |count: u64| {
        let program = std::env::current_exe().expect("the path of this program");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        valgrind.args(["--one", scenario.name, &format!("{subject:?}"), &count.to_string()]);
        valgrind.stderr(Stdio::piped()).spawn().expect("valgrind is installed (Debian: valgrind)")
    };
    // Both run at once, since they count instructions and not time.
    let [few, many] = [run(100), run(300)].map(|run| {
        let output = run.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        line.expect("callgrind prints its count").1.trim().parse::<u64>().expect("a number")
    });
    (many - few) / 200
}

/// Runs `--one`, for callgrind and other profilers: sends this number of requests and measures nothing.
pub fn requests(runtime: &Runtime, scenario: &str, subject: &str, count: u64) {
    let scenario = Scenario::named(scenario).expect("a known scenario");
    let subject = Subject::named(subject).expect("a known subject");
    runtime.block_on(async {
        let mut prepared = scenario.prepare(subject).await;
        for _ in 0..count {
            prepared.send().await;
        }
    });
}
