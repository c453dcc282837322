//! Processes that are subject to the modes of files even if they run as root.

use std::process::Command;

use crate::tools::{find_program, is_root, report_missing};

/// Returns the same command without root's capabilities, by which root ignores the modes of files. Returns `None` if
/// this process runs as root and `setpriv` is not installed.
///
/// # Panics
/// If `setpriv` is needed and not installed, and `AMPOULE_TEST_REQUIRE_ALL` is set.
pub fn without_capabilities(command: &Command) -> Option<Command> {
    let mut other = if is_root() {
        let Ok(setpriv) = find_program("setpriv") else {
            report_missing(
                "a test of permissions that runs as root needs `setpriv`, which is not installed (Debian: util-linux)",
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
