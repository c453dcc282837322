//! The `ampoule` command with the demo's apps.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut registry = ampoule_deploy::Registry::new();
    demo::register(&mut registry);
    ampoule_cli::main(&registry)
}
