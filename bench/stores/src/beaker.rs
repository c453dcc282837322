//! Ampoule beside Python's Beaker, each in its own process, in turns.

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

/// A type of session: its name here, Beaker's in the script, and our URL; none is in the cookie.
struct Type {
    name: &'static str,
    beaker: &'static str,
    url: Option<String>,
}

/// All types, or the one of this name in the script: `memory`, `file`, `redis`, `cookie-signed`, `cookie-encrypted`.
pub async fn print(effort: Effort, only: Option<&str>) -> ExitCode {
    let folder = stores::folder();
    let redis = Server::start(Kind::Redis);
    let redis_url = redis.as_ref().map(|server| server.url().to_owned());
    let mut python = match Python::start(folder.path(), redis_url.as_deref().unwrap_or_default()) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("Beaker cannot be run: {why}");
            return ExitCode::from(2);
        }
    };
    println!("Microseconds of one request's session, one request after the other: medians of rounds taken in turns.\n");
    println!("| type | operation | {} | Ampoule | times faster |", python.versions());
    println!("|---|---|---|---|---|");
    let files = format!("file:{}", folder.path().join("ours").display());
    let types = [
        Type { name: "memory", beaker: "memory", url: Some("memory:".to_owned()) },
        Type { name: "file", beaker: "file", url: Some(files) },
        Type { name: "Redis", beaker: "redis", url: redis_url.clone() },
        Type { name: "cookie, Beaker's signed", beaker: "cookie-signed", url: None },
        Type { name: "cookie, both encrypted", beaker: "cookie-encrypted", url: None },
    ];
    for kind in types.iter().filter(|kind| only.is_none_or(|only| only == kind.beaker)) {
        if kind.beaker == "redis" && redis.is_none() {
            println!("| Redis | not installed | | | |");
            continue;
        }
        lines(kind, &mut python, effort).await;
    }
    ExitCode::SUCCESS
}

async fn lines(kind: &Type, python: &mut Python, effort: Effort) {
    let mut ours = Ours::at(kind.url.as_deref()).await;
    for operation in [Operation::Read, Operation::Save] {
        let (beaker, ampoule) = measure(kind, python, &mut ours, operation, effort).await;
        let (name, times) = (kind.name, beaker / ampoule);
        println!("| {name} | {} | {beaker:.1} | {ampoule:.2} | {times:.0} |", operation.name());
    }
}

/// Microseconds of a request, Beaker's and ours.
async fn measure(
    kind: &Type,
    python: &mut Python,
    ours: &mut Ours,
    operation: Operation,
    effort: Effort,
) -> (f64, f64) {
    const TRIED: u32 = 50;
    let mut ask = |count| python.microseconds(kind.beaker, operation.name(), count);
    let counts = {
        let microseconds = |time: f64| Duration::from_secs_f64(time.max(0.01) * f64::from(TRIED) / 1e6);
        let _ = (ask(TRIED), ours.microseconds(operation, TRIED).await);
        let tried = (ask(TRIED), ours.microseconds(operation, TRIED).await);
        (effort.count(TRIED, microseconds(tried.0)), effort.count(TRIED, microseconds(tried.1)))
    };
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        theirs.push(ask(counts.0));
        own.push(ours.microseconds(operation, counts.1).await);
    }
    (median(theirs), median(own))
}
