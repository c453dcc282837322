//! Runs one subject in one scenario: prepares sessions, runs the load, reads the counts.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::commands::{Counts, Redis};
use crate::server::Server;
use crate::subject::Scenario;
use crate::{http, wrk};

/// The counts of one run.
pub struct Sample {
    pub requests: u64,
    pub per_second: f64,
    /// CPU time of the server's process, in microseconds.
    pub cpu: u64,
    pub commands: Counts,
    /// The sum of all sessions' counters after the run, if the scenario's requests increment them.
    pub counted: Option<u64>,
}

/// Runs a scenario with new sessions.
pub fn sample(server: &Server, redis: &mut Redis, scenario: Scenario, seconds: u64) -> Sample {
    redis.clear();
    let cookies = create_sessions(server, scenario);
    redis.reset();
    let before = server.cpu();
    let load = wrk::run(server.port, scenario.path(), &cookies, seconds);
    // Lets requests in progress finish before the counts are read and the next run clears the store.
    std::thread::sleep(Duration::from_millis(50));
    let cpu = server.cpu() - before;
    let commands = redis.counts();
    let counted = scenario.counts().then(|| cookies.iter().map(|cookie| count(server, cookie)).sum());
    Sample { requests: load.requests, per_second: load.per_second, cpu, commands, counted }
}

/// Returns the names of the commands that scripts run in this scenario.
pub fn run_by_scripts(server: &Server, redis: &Redis, scenario: Scenario) -> BTreeSet<String> {
    let cookies = create_sessions(server, scenario);
    redis.run_by_scripts(|| {
        http::get(server.port, scenario.path(), cookies.first().map(String::as_str));
    })
}

fn create_sessions(server: &Server, scenario: Scenario) -> Vec<String> {
    (0..scenario.sessions()).map(|_| http::get(server.port, "/fill", None).cookie).collect()
}

fn count(server: &Server, cookie: &str) -> u64 {
    http::get(server.port, "/count", Some(cookie)).body.parse().expect("a number")
}
