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
mod listen;
mod make_config;
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

/// What an operator needs to know of a build without the feature `all-stores`.
const STORES: &str = if cfg!(feature = "all-stores") {
    ""
} else {
    "This build keeps sessions in files and in memory, and in what else its program chose. SQLite, PostgreSQL, MySQL, \
     Redis and memcached: cargo install ampoule-cli --features all-stores"
};

/// Sessions for Rust web services: serves the apps of an ini file, as Pylons' `paster` did.
#[derive(Parser)]
#[command(name = "ampoule", version, arg_required_else_help = false, after_help = STORES)]
struct Arguments {
    /// Without a command, serves development.ini of this folder.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the apps of an ini file until Ctrl-C or SIGTERM.
    Serve(site::Site),
    /// Loads all that an ini file names, opens its stores, serves nothing, and says everything that is wrong.
    Check(site::Site),
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
    /// Writes a small project that builds: a page with a secure form, a message, an ini file and tests.
    New {
        /// The project and its folder, such as shop.
        name: String,
    },
    /// Writes a module for a page, with its route and a test, into src/controllers.
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
    Sessions(sessions::Sessions),
    /// Counts and clears what the stores of caches hold.
    Cache(cache::Cache),
}

/// Runs the command that the arguments of this process name, with these factories.
///
/// The exit code is 0 if all went well, 1 if something is wrong with the file, the address or the store, and 2 if the
/// arguments could not be read.
pub fn main(registry: &Registry) -> ExitCode {
    let done = match Arguments::parse().command {
        Some(Command::Serve(site)) => serve::serve(&site, registry),
        Some(Command::Check(site)) => check::check(&site, registry),
        Some(Command::MakeConfig { name, file, force }) => make_config::make_config(&name, &file, force, registry),
        Some(Command::New { name }) => scaffold::new(&name),
        Some(Command::Controller { name }) => scaffold::controller(&name),
        Some(Command::Restcontroller { singular, plural }) => scaffold::restcontroller(&singular, &plural),
        Some(Command::Sessions(sessions)) => sessions::run(&sessions, registry),
        Some(Command::Cache(cache)) => cache::run(&cache, registry),
        None if Path::new(DEVELOPMENT).exists() => serve::serve(&site::Site::development(), registry),
        None => {
            let _ = Arguments::command().print_help();
            Err(Failure(format!("there is no {DEVELOPMENT} in this folder; name a file, or a command")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            output::complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// What the commands that look into stores run on.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure(format!("no threads to work with: {error}")))
}

/// The ini file that was named, or else development.ini of this folder.
fn ini_file(named: Option<&Path>) -> Result<&Path, Failure> {
    let development = Path::new(DEVELOPMENT);
    named.or_else(|| development.exists().then_some(development)).ok_or_else(|| {
        let message = "name an ini file with --ini, or a store with --url";
        Failure(format!("there is no {DEVELOPMENT} in this folder; {message}"))
    })
}

/// Why a command failed, in words for the user who typed it.
struct Failure(String);
