//! Chores of the project as a program: `cargo xtask tidy` checks the house rules.

mod tidy;

use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy    check the house rules of the workspace that holds the current folder";

/// Exit codes: 0 if all rules hold, 1 if a rule is broken, 2 if the check failed.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy_here(),
        ["help" | "--help" | "-h"] => print(io::stdout(), USAGE, ExitCode::SUCCESS),
        _ => print(io::stderr(), USAGE, ExitCode::from(2)),
    }
}

fn tidy_here() -> ExitCode {
    match std::env::current_dir().map_err(Into::into).and_then(|folder| tidy::check(&folder)) {
        Ok(report) if report.findings.is_empty() => print(io::stdout(), &report.to_string(), ExitCode::SUCCESS),
        Ok(report) => print(io::stdout(), &report.to_string(), ExitCode::FAILURE),
        Err(error) => print(io::stderr(), &format!("tidy could not check: {error}"), ExitCode::from(2)),
    }
}

/// Ignores failed writes: a closed pipe (`cargo xtask tidy | head`) does not change the exit code.
fn print(mut out: impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _closed = writeln!(out, "{}", text.trim_end());
    code
}
