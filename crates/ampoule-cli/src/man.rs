//! What a shell and `man` need to know of the command: `ampoule completions`, `ampoule man`.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Arguments, Failure, output};

/// The command under the name of this program, which may have apps of its own.
fn command() -> clap::Command {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_stem().and_then(|name| name.to_str()).unwrap_or("ampoule");
    // clap takes names that live as long as the process, which ends with this command.
    let name: &'static str = name.to_owned().leak();
    Arguments::command().name(name).bin_name(name)
}

/// Prints what the shell reads.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    output::say(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// Writes a page for the command and one for each of its subcommands, and makes the folder.
pub(crate) fn man(folder: &Path) -> Result<(), Failure> {
    let command = command();
    let name = command.get_name().to_owned();
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| Failure(format!("{} cannot be written: {error}", folder.display())))?;
    output::say(&format!("wrote the pages to {0}; next: man {0}/{name}.1", folder.display()));
    Ok(())
}
