//! Times of requests, measured in turns by separate processes: a disturbance affects all alike, and each has a fresh heap.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::measure::median;
use crate::scenario::Scenario;
use crate::sites::Subject;

const ROUNDS: usize = 21;
const EACH: u32 = 5_000;
const WARM_UP: u32 = 500;

/// The nanoseconds of a request to each subject, medians of rounds.
pub fn times(scenario: &Scenario, subjects: &[Subject]) -> Vec<f64> {
    let mut players: Vec<Player> = subjects.iter().map(|subject| Player::start(scenario, *subject)).collect();
    let mut rounds = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (player, round) in players.iter_mut().zip(&mut rounds) {
            round.push(player.turn());
        }
    }
    rounds.into_iter().map(median).collect()
}

/// A child process of this program with `--turns`.
struct Player {
    process: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Player {
    fn start(scenario: &Scenario, subject: Subject) -> Player {
        let program = std::env::current_exe().expect("our own path");
        let mut command = Command::new(program);
        command.args(["--turns", scenario.name, &format!("{subject:?}")]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts once more");
        let to = process.stdin.take();
        let from = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        Player { process, to, from }
    }

    fn turn(&mut self) -> f64 {
        self.to.as_mut().expect("it is open").write_all(b"\n").expect("it listens");
        let line = self.from.next().expect("it answers").expect("it answers in text");
        line.parse().expect("a number of nanoseconds")
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.to.take());
        let _ = self.process.wait();
    }
}

/// Runs `--turns`: for each line of input, sends some requests and prints the time of one.
pub fn play(runtime: &Runtime, scenario: &str, subject: &str) {
    let scenario = Scenario::named(scenario).expect("a known scenario");
    let subject = Subject::named(subject).expect("a known subject");
    runtime.block_on(async {
        let mut ready = scenario.on(subject).await;
        for _ in std::io::stdin().lines() {
            for _ in 0..WARM_UP {
                ready.ask().await;
            }
            let started = Instant::now();
            for _ in 0..EACH {
                ready.ask().await;
            }
            println!("{}", started.elapsed().as_nanos() as f64 / f64::from(EACH));
        }
    });
}
