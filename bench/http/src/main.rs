//! Sessions in Redis over real HTTP: Ampoule, handwritten handlers, and the peers. Each runs in its own process and
//! receives requests from wrk over loopback.

mod commands;
mod http;
mod measure;
mod serve;
mod server;
mod subject;
mod table;
mod wrk;

use std::process::ExitCode;

use ampoule_test_servers::{Kind, Server as TestServer};

use crate::commands::Redis;
use crate::server::Server;
use crate::subject::{Scenario, Subject};
use crate::table::Row;

/// The number of turns of each subject in each scenario; the result is the median.
const ROUNDS: usize = 5;
/// The length of a turn.
const SECONDS: u64 = 3;
/// The length of the warm-up of each subject in each scenario.
const WARM_UP_SECONDS: u64 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(ROUNDS, SECONDS),
        ["--quick"] => run(1, 1),
        ["--serve", subject, redis] => {
            serve::run(Subject::named(subject).expect("the name of a subject"), redis);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: ampoule-bench-http [--quick]");
            ExitCode::from(2)
        }
    }
}

fn run(rounds: usize, seconds: u64) -> ExitCode {
    if !wrk::is_installed() {
        eprintln!("wrk is not installed (Debian: wrk)");
        return ExitCode::from(2);
    }
    // `start` prints what is missing.
    let Some(redis_server) = TestServer::start(Kind::Redis) else { return ExitCode::from(2) };
    let load = load_average();
    let mut redis = Redis::connect(redis_server.url());
    let servers = Subject::ALL.map(|subject| Server::start(subject, redis_server.url()));
    let mut rows = warm_up(&servers, &mut redis);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for scenario in 0..Scenario::ALL.len() {
            // Each round starts with another subject.
            for turn in 0..servers.len() {
                let subject = (round + turn) % servers.len();
                let row = &mut rows[scenario * servers.len() + subject];
                row.samples.push(measure::sample(&servers[subject], &mut redis, row.scenario, seconds));
            }
        }
    }
    println!("{rounds} rounds of {seconds} s, {} connections; load average at the start {load}.\n", wrk::CONNECTIONS);
    table::print(&rows);
    let lost = rows.iter().any(|row| row.subject == Subject::Ours && row.kept().is_some_and(|kept| kept < 1.0));
    if lost {
        eprintln!("Ampoule lost an update");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Warms up each subject in each scenario, and creates the rows of the table, sorted by scenario.
fn warm_up(servers: &[Server], redis: &mut Redis) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in Scenario::ALL {
        for (subject, server) in Subject::ALL.into_iter().zip(servers) {
            measure::sample(server, redis, scenario, WARM_UP_SECONDS);
            let run_by_scripts = measure::run_by_scripts(server, redis, scenario);
            rows.push(Row { subject, scenario, samples: Vec::new(), run_by_scripts });
        }
    }
    rows
}

/// Returns the load average of the last minute, which is well below 1 on an idle machine.
fn load_average() -> String {
    let averages = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split_whitespace().next().unwrap_or("unknown").to_owned()
}
