//! Processes that may do no more than the modes of files allow.

use std::process::Command;

use crate::tools::{installed, is_root, missing};

/// The same command, which as root would pass over the modes of files, without the capabilities that do so. `None` where
/// `setpriv` is missing and needed.
///
/// # Panics
/// If it is missing where all are required.
pub fn without_capabilities(command: &Command) -> Option<Command> {
    let mut other = if is_root() {
        let Ok(setpriv) = installed("setpriv") else {
            missing(
                "a process of root without its capabilities needs `setpriv`, which is not installed (Debian: util-linux)",
            );
            return None;
        };
        let mut other = Command::new(setpriv);
        other.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(command.get_program());
        other
    } else {
        Command::new(command.get_program())
    };
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    Some(other)
}
