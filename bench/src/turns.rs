//! Measures the time of a request. Each subject runs in its own process, with a fresh heap, and the processes take
//! turns, so that a disturbance affects all of them.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::measure::median;
use crate::scenario::Scenario;
use crate::sites::Subject;

const ROUNDS: usize = 21;
const REQUESTS: u32 = 5_000;
const WARM_UP_REQUESTS: u32 = 500;

/// Returns the nanoseconds of a request to each subject, medians of the rounds.
pub fn times(scenario: &Scenario, subjects: &[Subject]) -> Vec<f64> {
    let mut processes: Vec<Subprocess> = subjects.iter().map(|subject| Subprocess::start(scenario, *subject)).collect();
    let mut rounds = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (process, round) in processes.iter_mut().zip(&mut rounds) {
            round.push(process.measure());
        }
    }
    rounds.into_iter().map(median).collect()
}

/// A child process: this program with `--turns`.
struct Subprocess {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Subprocess {
    fn start(scenario: &Scenario, subject: Subject) -> Subprocess {
        let program = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(program);
        command.args(["--turns", scenario.name, &format!("{subject:?}")]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the child starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        Subprocess { process, input, output }
    }

    fn measure(&mut self) -> f64 {
        self.input.as_mut().expect("it is open").write_all(b"\n").expect("the child reads");
        let line = self.output.next().expect("a line").expect("a line of text");
        line.parse().expect("a number of nanoseconds")
    }
}

impl Drop for Subprocess {
    fn drop(&mut self) {
        // The child ends at the end of its input.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// Runs `--turns`: for each line of input, sends `REQUESTS` requests and prints the nanoseconds of one.
pub fn run_child(runtime: &Runtime, scenario: &str, subject: &str) {
    let scenario = Scenario::named(scenario).expect("a known scenario");
    let subject = Subject::named(subject).expect("a known subject");
    runtime.block_on(async {
        let mut prepared = scenario.prepare(subject).await;
        for _ in std::io::stdin().lines() {
            for _ in 0..WARM_UP_REQUESTS {
                prepared.send().await;
            }
            let started = Instant::now();
            for _ in 0..REQUESTS {
                prepared.send().await;
            }
            println!("{}", started.elapsed().as_nanos() as f64 / f64::from(REQUESTS));
        }
    });
}
