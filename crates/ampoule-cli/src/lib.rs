//! The `ampoule` command: serves and checks ini files, writes one with a fresh secret, creates projects and their
//! modules, and manages sessions and caches.
//!
//! A program with apps of its own gets the same commands:
//!
//! ```no_run
//! use ampoule_deploy::{Registry, app};
//! use axum::{Router, routing::get};
//!
//! fn main() -> std::process::ExitCode {
//!     let mut registry = Registry::new();
//!     registry.app("egg:my_project", |_| Ok(app(Router::new().route("/", get(|| async { "hello" })))));
//!     ampoule_cli::main(&registry)
//! }
//! ```

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod cache;
mod check;
mod clocks;
mod front;
mod help;
mod listen;
mod make_config;
mod man;
mod output;
mod progress;
mod scaffold;
mod serve;
mod sessions;
mod site;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ampoule_deploy::Registry;
use clap::{CommandFactory, Parser, Subcommand};

/// The file that is served by default.
const DEVELOPMENT: &str = "development.ini";

/// Sessions for Rust web services: serves the apps of an ini file, as Pylons' `paster` did.
#[derive(Parser)]
#[command(name = "ampoule", version, arg_required_else_help = false)]
#[command(after_help = help::STORES, after_long_help = help::COMMAND)]
struct Arguments {
    /// Without a command, serves development.ini in the current folder.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the apps of an ini file until Ctrl-C or SIGTERM.
    #[command(after_long_help = help::SERVE)]
    Serve(site::Site),
    /// Loads an ini file and opens its stores without serving it, and reports all faults.
    #[command(after_long_help = help::CHECK)]
    Check(check::Check),
    /// Writes an ini file for production, with a random secret of 256 bits.
    MakeConfig {
        /// The project: names the cookie and the app, such as my_project.
        name: String,
        /// The file to write, readable only by you (mode 0600).
        file: PathBuf,
        /// Replace the file if it exists. Its secret is lost, which logs out all users.
        #[arg(long)]
        force: bool,
    },
    /// Creates a small project that builds: login, a layout, secure forms, error pages, an ini file, a Dockerfile,
    /// tests.
    New {
        /// The name of the project and of its folder, such as shop.
        name: String,
        /// Depend on the published crates, even if the checkout that this command was built from exists.
        #[arg(long)]
        published: bool,
    },
    /// Creates a module for a page in src/controllers, with its route and a test, and adds it to the project.
    Controller {
        /// The name of the module, such as basket or admin/users.
        name: String,
    },
    /// Creates a module for a resource, with the routes index, create, new, show, update, delete and edit, and a test.
    Restcontroller {
        /// The singular of the resource's name, such as note.
        singular: String,
        /// The plural, such as notes or admin/notes: the name of the module, and the path.
        plural: String,
    },
    /// Shows, ends, sweeps, counts and copies the sessions of a store.
    #[command(after_long_help = help::SESSIONS)]
    Sessions(sessions::Sessions),
    /// Counts and clears the values in the stores of caches.
    #[command(after_long_help = help::CACHE)]
    Cache(cache::Cache),
    /// Prints a completion script for a shell; for bash: eval "$(ampoule completions bash)".
    Completions { shell: clap_complete::Shell },
    /// Writes manual pages, one for each command.
    Man {
        /// The folder, such as ~/.local/share/man/man1; it is created if it does not exist.
        folder: PathBuf,
    },
}

/// Runs the command that this process's arguments name, with these factories.
///
/// The exit code is 0 for success, 1 for an error, which standard error describes, and 2 for invalid arguments. Wrong
/// usage, `--help` and `--version` end the process without returning.
pub fn main(registry: &Registry) -> ExitCode {
    let done = match Arguments::parse().command {
        Some(Command::Serve(site)) => serve::serve(&site, registry),
        Some(Command::Check(check)) => check.run(registry),
        Some(Command::MakeConfig { name, file, force }) => make_config::make_config(&name, &file, force, registry),
        Some(Command::New { name, published }) => scaffold::new(&name, published),
        Some(Command::Controller { name }) => scaffold::controller(&name),
        Some(Command::Restcontroller { singular, plural }) => scaffold::restcontroller(&singular, &plural),
        Some(Command::Sessions(sessions)) => sessions::run(&sessions, registry),
        Some(Command::Cache(cache)) => cache::run(&cache, registry),
        Some(Command::Completions { shell }) => man::completions(shell),
        Some(Command::Man { folder }) => man::man(&folder),
        None => serve_development(registry),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            output::print_error(&message);
            ExitCode::FAILURE
        }
    }
}

/// Runs without a command: serves `development.ini`, or prints the help.
fn serve_development(registry: &Registry) -> Result<(), Failure> {
    if has_development()? {
        return serve::serve(&site::Site::development(), registry);
    }
    let _ = Arguments::command().print_help();
    Err(Failure(format!("there is no {DEVELOPMENT} in this folder; name a file, or a command")))
}

/// The runtime of the commands that read stores.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure(format!("no threads to work with: {error}")))
}

/// The ini file of the command line, or else development.ini in the current folder.
fn ini_file(named: Option<&Path>) -> Result<&Path, Failure> {
    match named {
        Some(file) => Ok(file),
        None if has_development()? => Ok(Path::new(DEVELOPMENT)),
        None => {
            let message = "name an ini file with --ini, or a store with --url";
            Err(Failure(format!("there is no {DEVELOPMENT} in this folder; {message}")))
        }
    }
}

/// Whether the current folder has a development.ini. An unreadable folder is an error.
fn has_development() -> Result<bool, Failure> {
    let there = Path::new(DEVELOPMENT).try_exists();
    there.map_err(|error| Failure(format!("{DEVELOPMENT} cannot be reached: {error}")))
}

/// The message of a failed command, one error per line.
struct Failure(String);
