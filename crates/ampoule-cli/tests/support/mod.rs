//! A server process of the real command, on a port of its own and in a folder of its own.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod browser;
pub(crate) mod visitor;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The development file of the repository, moved to a port that the system chooses.
pub(crate) fn development_ini() -> String {
    let text = include_str!("../development.ini");
    assert!(text.contains("port = 5000"));
    text.replace("port = 5000", "port = 0")
}

/// The development file without debug, as in production.
pub(crate) fn production_ini() -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some(("debug", _)) => "debug = false".to_owned(),
        Some(("beaker.session.secret", _)) => {
            "beaker.session.secret = 0Zq4Xk7Yw2Vt9Rb5Nc8Mj3Hg6Fd1Sa-Ue\nbeaker.session.secure = false".to_owned()
        }
        _ => line.to_owned(),
    };
    development_ini().lines().map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn ampoule() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampoule"));
    command.env_remove("RUST_LOG");
    command
}

/// A running `ampoule serve`; killed when it is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) base: String,
    #[allow(dead_code, reason = "one of the two test binaries reads it")]
    pub(crate) said: Vec<String>,
}

impl Served {
    /// Serves `site.ini` of this folder; returns when it listens.
    pub(crate) fn start(folder: &Path) -> Served {
        Served::start_with(folder, ampoule())
    }

    /// Serves with this command, which may set an environment.
    pub(crate) fn start_with(folder: &Path, command: Command) -> Served {
        Served::start_with_arguments(folder, command, &[])
    }

    /// Serves with this command, with more arguments after the file.
    pub(crate) fn start_with_arguments(folder: &Path, mut command: Command, arguments: &[&str]) -> Served {
        command
            .args(["serve", "site.ini"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let base = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the server ended before it listened; it said {said:?}") };
            let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
            said.push(line);
            if let Some(address) = address {
                break address;
            }
        };
        Served { child, base, said }
    }

    /// Ends the server with SIGTERM and returns its log.
    pub(crate) fn terminate(self) -> String {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert!(status.success(), "it ended with {status}");
        log
    }

    /// Sends it this signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("there is a kill").success());
    }

    /// Waits until a line of the log contains this.
    pub(crate) fn wait_for_log(&mut self, part: &str) {
        let mut log = BufReader::new(self.child.stderr.as_mut().expect("it is piped"));
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("a log is text"), 0, "it ended before it logged {part}");
        }
    }

    /// Waits until the server has ended; returns its status and the rest of its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it was started");
        let mut log = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut log).expect("a log is text");
        (status, log)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
