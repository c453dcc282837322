//! Installs Beaker in a temporary folder, and runs the script that measures it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The script; its first lines describe its input and output.
const SCRIPT: &str = include_str!("../beaker.py");

/// Beaker, its Redis client, and the cipher of its encrypted cookies.
const PACKAGES: [&str; 3] = ["Beaker", "redis", "cryptography"];

pub struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    versions: String,
}

impl Python {
    /// Installs the packages in `folder`, and starts the script.
    pub fn start(folder: &Path, redis: &str) -> Result<Python, String> {
        let environment = folder.join("python");
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment), "python3 -m venv")?;
        let python = environment.join("bin").join("python");
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]).args(PACKAGES);
        run(&mut pip, "pip install")?;
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(folder.join("beaker"))
            .arg(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut python = Python { child, input, output, versions: String::new() };
        let line = python.line();
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, beaker, _, version] => python.versions = format!("Beaker {beaker} (Python {version})"),
            _ => return Err("the script does not start".to_owned()),
        }
        Ok(python)
    }

    pub fn versions(&self) -> &str {
        &self.versions
    }

    /// Runs this number of requests, and returns the microseconds of one.
    pub fn microseconds(&mut self, kind: &str, operation: &str, count: u32) -> f64 {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{kind} {operation} {count}").expect("the script reads");
        let line = self.line();
        line.trim().parse().unwrap_or_else(|_| panic!("{kind} {operation}: the script printed {line:?}, not a number"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the script prints");
        line
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The script ends at the end of its input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Runs a command. The error is one line: the name and the last line of the output.
fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(format!("{name}: {last}"))
}
