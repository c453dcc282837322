//! Starts and stops the process that serves a subject, and reads its CPU time.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::subject::Subject;

/// Linux reports CPU time in hundredths of a second, on all common architectures.
const TICK_MICROSECONDS: u64 = 10_000;

pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    /// Starts this program with `--serve`. The child ends at the end of its input, and so at the latest with this
    /// process.
    pub fn start(subject: Subject, redis: &str) -> Server {
        let program = std::env::current_exe().expect("the path of this program");
        let mut process = Command::new(program)
            .args(["--serve", &format!("{subject:?}"), redis])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("the child prints a line");
        let port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{subject:?} does not start: it printed {line:?}, not a port"));
        Server { process, port }
    }

    /// Returns the CPU time of all its threads so far, user and kernel, in microseconds.
    pub fn cpu(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // After the name, which may contain any character: the state, 10 other fields, utime, stime.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().expect("a number of ticks") * TICK_MICROSECONDS).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
