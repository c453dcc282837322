//! Compares Ampoule with Python's Beaker. Each runs in its own process, and they take turns.

mod operation;
mod ours;
mod python;

use std::process::ExitCode;
use std::time::Duration;

use ampoule_test_servers::{Kind, Server};

pub use self::operation::Operation;
use self::ours::Ours;
use self::python::Python;
use crate::rounds::{Effort, median};
use crate::stores;

/// A type of session.
struct SessionType {
    /// The name in the table.
    name: &'static str,
    /// The name in the script.
    beaker: &'static str,
    /// The URL of Ampoule's store; `None` for sessions in their cookies.
    url: Option<String>,
}

/// Prints the table of all types, or of the one with this name in the script: `memory`, `file`, `redis`,
/// `cookie-signed`, `cookie-encrypted`.
pub async fn print(effort: Effort, only: Option<&str>) -> ExitCode {
    let folder = stores::folder();
    let redis = Server::start(Kind::Redis);
    let redis_url = redis.as_ref().map(|server| server.url().to_owned());
    let mut python = match Python::start(folder.path(), redis_url.as_deref().unwrap_or_default()) {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("Beaker cannot be started: {reason}");
            return ExitCode::from(2);
        }
    };
    println!(
        "Microseconds of the session of one request. Requests run one after the other; medians of rounds in which the subjects take turns.\n"
    );
    println!("| type | operation | {} | Ampoule | speedup |", python.versions());
    println!("|---|---|---|---|---|");
    let files = format!("file:{}", folder.path().join("ours").display());
    let types = [
        SessionType { name: "memory", beaker: "memory", url: Some("memory:".to_owned()) },
        SessionType { name: "file", beaker: "file", url: Some(files) },
        SessionType { name: "Redis", beaker: "redis", url: redis_url.clone() },
        SessionType { name: "cookie, signed by Beaker, encrypted by Ampoule", beaker: "cookie-signed", url: None },
        SessionType { name: "cookie, encrypted by both", beaker: "cookie-encrypted", url: None },
    ];
    for kind in types.iter().filter(|kind| only.is_none_or(|only| only == kind.beaker)) {
        if kind.beaker == "redis" && redis.is_none() {
            println!("| Redis | not installed | | | |");
            continue;
        }
        print_rows(kind, &mut python, effort).await;
    }
    ExitCode::SUCCESS
}

async fn print_rows(kind: &SessionType, python: &mut Python, effort: Effort) {
    let mut ours = Ours::at(kind.url.as_deref()).await;
    for operation in [Operation::Read, Operation::Save] {
        let (beaker, ampoule) = measure(kind, python, &mut ours, operation, effort).await;
        let (name, times) = (kind.name, beaker / ampoule);
        println!("| {name} | {} | {beaker:.1} | {ampoule:.2} | {times:.0} |", operation.name());
    }
}

/// Returns the microseconds of a request, for Beaker and for Ampoule.
async fn measure(
    kind: &SessionType,
    python: &mut Python,
    ours: &mut Ours,
    operation: Operation,
    effort: Effort,
) -> (f64, f64) {
    const SAMPLE: u32 = 50;
    let mut beaker = |count| python.microseconds(kind.beaker, operation.name(), count);
    let counts = {
        let microseconds = |time: f64| Duration::from_secs_f64(time.max(0.01) * f64::from(SAMPLE) / 1e6);
        let _ = (beaker(SAMPLE), ours.microseconds(operation, SAMPLE).await);
        let sampled = (beaker(SAMPLE), ours.microseconds(operation, SAMPLE).await);
        (effort.count(SAMPLE, microseconds(sampled.0)), effort.count(SAMPLE, microseconds(sampled.1)))
    };
    let (mut beaker_times, mut ampoule_times) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        beaker_times.push(beaker(counts.0));
        ampoule_times.push(ours.microseconds(operation, counts.1).await);
    }
    (median(beaker_times), median(ampoule_times))
}
