//! Helpers for starting servers of any kind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Additional settings for a server. In the arguments `{folder}` is replaced by the path of its folder.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Names and contents of files in its folder, with mode 0600.
    pub files: Vec<(String, String)>,
    /// Additional arguments of its command.
    pub arguments: Vec<String>,
}

/// The reason why a server was not started.
pub(crate) enum StartError {
    /// This program is not installed.
    NotInstalled(&'static str),
    /// The server did not start; the text says why.
    Failed(String),
}

impl From<String> for StartError {
    fn from(why: String) -> StartError {
        StartError::Failed(why)
    }
}

impl From<std::io::Error> for StartError {
    fn from(why: std::io::Error) -> StartError {
        StartError::Failed(why.to_string())
    }
}

pub(crate) fn to_strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns the path of a program. It also searches the folders that are usually not in the path of a user.
pub(crate) fn find_program(name: &'static str) -> Result<String, StartError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.exists());
    found.map(|path| path.display().to_string()).ok_or(StartError::NotInstalled(name))
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Creates a folder, which the node removes at its end.
pub(crate) fn create_folder() -> std::io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("ampoule-server-").tempdir()?.keep();
    // A server that runs as another user, such as PostgreSQL, must be able to enter it.
    #[cfg(unix)]
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

/// Writes the files of the setup to the folder, and returns the arguments.
pub(crate) fn write_files(setup: &Setup, folder: &Path) -> Result<Vec<String>, StartError> {
    for (name, contents) in &setup.files {
        let file = folder.join(name);
        std::fs::write(&file, contents)?;
        #[cfg(unix)]
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    let folder = folder.display().to_string();
    Ok(setup.arguments.iter().map(|argument| argument.replace("{folder}", &folder)).collect())
}

/// Runs a command to its end; the error of a failure contains its output.
pub(crate) fn run(command: &mut Command) -> Result<(), StartError> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Err(StartError::Failed(format!("{command:?}: {}: {}", output.status, texts.concat())))
}

/// Prints that a test is skipped, and why; panics if `AMPOULE_TEST_REQUIRE_ALL` is set.
pub(crate) fn report_missing(what: &str) {
    let line = format!("skipped: {what}");
    assert!(std::env::var_os("AMPOULE_TEST_REQUIRE_ALL").is_none(), "{line}");
    // The test runner would capture the output of eprintln.
    let _ = writeln!(std::io::stderr(), "{line}");
}
