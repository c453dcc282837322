//! `ampoule completions` and `ampoule man`: the completion scripts and manual pages of the command.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Arguments, Failure, output};

/// The command, named after this executable, which may be another program than `ampoule`.
fn command() -> clap::Command {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_stem().and_then(|name| name.to_str()).unwrap_or("ampoule");
    // clap needs a static name. Leaking it is fine: the process ends after this command.
    let name: &'static str = name.to_owned().leak();
    Arguments::command().name(name).bin_name(name)
}

/// Prints the completion script.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    output::print(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// Creates the folder, and writes a page for the command and for each subcommand.
pub(crate) fn man(folder: &Path) -> Result<(), Failure> {
    let command = command();
    let name = command.get_name().to_owned();
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| Failure(format!("{} cannot be written: {error}", folder.display())))?;
    output::print(&format!("wrote the pages to {0}; next: man {0}/{name}.1", folder.display()));
    Ok(())
}
