//! The `ampoule` command with the demo's apps.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut registry = ampoule_deploy::Registry::new();
    ampoule_demo::register(&mut registry);
    ampoule_cli::main(&registry)
}
