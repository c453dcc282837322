//! The process that serves a subject, as its parent sees it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::subject::Subject;

/// Linux tells CPU time in hundredths of a second, on every machine that we may meet.
const TICK_MICROSECONDS: u64 = 10_000;

pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    /// This program once more, with `--serve`. It ends when its input does, so at the latest with this process.
    pub fn start(subject: Subject, redis: &str) -> Server {
        let program = std::env::current_exe().expect("the path of this program");
        let mut process = Command::new(program)
            .args(["--serve", &format!("{subject:?}"), redis])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("its output is read");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{subject:?} does not start: it said {line:?}"));
        Server { process, port }
    }

    /// The time that all its threads were running so far, in its own code and in the kernel, in microseconds.
    pub fn cpu(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // After the name, which may hold anything: the state, 10 other fields, utime, stime.
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
