//! The `ampoule` command: serves an ini file, checks it, writes one with a fresh secret, begins projects and their
//! modules, and looks after sessions and caches.
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

/// The file that is served when the command line names none.
const DEVELOPMENT: &str = "development.ini";

/// Sessions for Rust web services: serves the apps of an ini file, as Pylons' `paster` did.
#[derive(Parser)]
#[command(name = "ampoule", version, arg_required_else_help = false)]
#[command(after_help = help::STORES, after_long_help = help::COMMAND)]
struct Arguments {
    /// Without a command, serves development.ini of this folder.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the apps of an ini file until Ctrl-C or SIGTERM.
    #[command(after_long_help = help::SERVE)]
    Serve(site::Site),
    /// Loads all that an ini file names, opens its stores, serves nothing, and says everything that is wrong.
    #[command(after_long_help = help::CHECK)]
    Check(check::Check),
    /// Writes an ini file for production, with a random secret of 256 bits.
    MakeConfig {
        /// The project: names the cookie and the app, such as my_project.
        name: String,
        /// The file to write, for your eyes only (mode 0600).
        file: PathBuf,
        /// Replace the file if it is there. Its secret is then lost, and all are logged out.
        #[arg(long)]
        force: bool,
    },
    /// Writes a small project that builds: login, a layout, secure forms, pages for errors, an ini file, a Dockerfile, tests.
    New {
        /// The project and its folder, such as shop.
        name: String,
        /// Depend on the published crates, also where the checkout that this command was built from is there.
        #[arg(long)]
        published: bool,
    },
    /// Writes a module for a page, with its route and a test, into src/controllers, and makes it known to the project.
    Controller {
        /// The module, such as basket or admin/users.
        name: String,
    },
    /// Writes a module for a resource, with the routes index, create, new, show, update, delete and edit, and a test.
    Restcontroller {
        /// One of them, such as note.
        singular: String,
        /// Many of them, such as notes or admin/notes: names the module and the path.
        plural: String,
    },
    /// Shows, ends, sweeps, counts and copies the sessions of a store.
    #[command(after_long_help = help::SESSIONS)]
    Sessions(sessions::Sessions),
    /// Counts and clears what the stores of caches hold.
    #[command(after_long_help = help::CACHE)]
    Cache(cache::Cache),
    /// Prints what a shell needs to complete this command, such as for bash: eval "$(ampoule completions bash)".
    Completions { shell: clap_complete::Shell },
    /// Writes manual pages, one for each command.
    Man {
        /// The folder, such as ~/.local/share/man/man1; it is made if it is not there.
        folder: PathBuf,
    },
}

/// Runs the command that the arguments of this process name, with these factories.
///
/// The exit code is 0 if all went well, 1 if something is wrong with the file, the address, the store or what was asked,
/// and 2 if the arguments could not be read.
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
            output::complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// What is done where no command is named.
fn serve_development(registry: &Registry) -> Result<(), Failure> {
    if has_development()? {
        return serve::serve(&site::Site::development(), registry);
    }
    let _ = Arguments::command().print_help();
    Err(Failure(format!("there is no {DEVELOPMENT} in this folder; name a file, or a command")))
}

/// What the commands that look into stores run on.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure(format!("no threads to work with: {error}")))
}

/// The ini file that was named, or else development.ini of this folder.
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

/// A folder that may not be looked into is not one without the file.
fn has_development() -> Result<bool, Failure> {
    let there = Path::new(DEVELOPMENT).try_exists();
    there.map_err(|error| Failure(format!("{DEVELOPMENT} cannot be reached: {error}")))
}

/// Why a command failed, in words for the user who typed it.
struct Failure(String);
