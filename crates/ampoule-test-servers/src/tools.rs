//! What starting a server takes, whatever kind it is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a server is started with besides its own settings. `{folder}` stands for its folder.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Names and contents of files in its folder, which its user alone may read.
    pub files: Vec<(String, String)>,
    /// More arguments.
    pub arguments: Vec<String>,
}

pub(crate) enum Failed {
    /// The program is not installed.
    Missing(&'static str),
    /// Why it did not start.
    Start(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed::Start(why)
    }
}

impl From<std::io::Error> for Failed {
    fn from(why: std::io::Error) -> Failed {
        Failed::Start(why.to_string())
    }
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The path of a program, also of those that a user's path leaves out.
pub(crate) fn installed(name: &'static str) -> Result<String, Failed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.exists());
    found.map(|path| path.display().to_string()).ok_or(Failed::Missing(name))
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder that the node removes at its end.
pub(crate) fn folder() -> std::io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("ampoule-server-").tempdir()?.keep();
    // Other users' servers, such as PostgreSQL's, must be able to enter it.
    #[cfg(unix)]
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

/// Writes the files, and says what the arguments are.
pub(crate) fn lay_out(setup: &Setup, folder: &Path) -> Result<Vec<String>, Failed> {
    for (name, contents) in &setup.files {
        let file = folder.join(name);
        std::fs::write(&file, contents)?;
        #[cfg(unix)]
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    let folder = folder.display().to_string();
    Ok(setup.arguments.iter().map(|argument| argument.replace("{folder}", &folder)).collect())
}

pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let done = command.stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Err(Failed::Start(format!("{command:?}: {}: {}", done.status, said.concat())))
}

/// Says that a test is skipped.
pub(crate) fn missing(what: &str) {
    let line = format!("skipped: {what}");
    assert!(std::env::var_os("AMPOULE_TEST_REQUIRE_ALL").is_none(), "{line}");
    // Not by eprintln, which the test runner would keep to itself.
    let _ = writeln!(std::io::stderr(), "{line}");
}
