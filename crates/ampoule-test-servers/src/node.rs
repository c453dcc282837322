//! One process of a server, which can be killed, paused and started again.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The shell script that runs a server. It prints the server's process id and waits for input. At the end of the input
/// it stops the server and removes its folder; after a line of input it keeps the folder.
const SUPERVISOR: &str = r#"
exec 3<&0
"$@" </dev/null >>"$NODE_FOLDER/log" 2>&1 3<&- &
echo $!
if read -r line <&3; then keep=1; else keep=; fi
kill -"$NODE_SIGNAL" $! 2>/dev/null
wait $! 2>/dev/null
[ -n "$keep" ] || rm -rf "$NODE_FOLDER"
"#;

/// One process of a server.
pub struct Node {
    /// The port that it listens on, on loopback.
    pub port: u16,
    folder: PathBuf,
    command: Vec<String>,
    stop_signal: &'static str,
    is_ready: Box<dyn Fn(u16) -> bool + Send + Sync>,
    supervisor: Mutex<Option<Supervisor>>,
}

struct Supervisor {
    shell: Child,
    server: Pid,
}

impl Node {
    /// Starts the command and waits until it is ready to serve.
    pub(crate) fn start(
        port: u16,
        folder: PathBuf,
        command: Vec<String>,
        stop_signal: &'static str,
        is_ready: impl Fn(u16) -> bool + Send + Sync + 'static,
    ) -> Result<Node, String> {
        let is_ready = Box::new(is_ready);
        let node = Node { port, folder, command, stop_signal, is_ready, supervisor: Mutex::default() };
        node.run()?;
        Ok(node)
    }

    fn run(&self) -> Result<(), String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SUPERVISOR, "supervisor"]).args(&self.command);
        shell.env("NODE_FOLDER", &self.folder).env("NODE_SIGNAL", self.stop_signal);
        shell.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().map_err(|error| format!("cannot start a shell: {error}"))?;
        let mut line = String::new();
        let out = shell.stdout.take().ok_or("the shell has no output")?;
        BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        let server = line.trim().parse().ok().and_then(Pid::from_raw).ok_or("the shell printed no process id")?;
        *self.supervisor() = Some(Supervisor { shell, server });
        self.wait_until_ready()
    }

    /// Waits until the server responds, for at most a minute.
    fn wait_until_ready(&self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if (self.is_ready)(self.port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(15).collect();
        Err(format!(
            "{:?} is not ready after a minute: {}",
            self.command,
            end.into_iter().rev().collect::<Vec<_>>().join("\n")
        ))
    }

    /// Kills the process and its children (SIGKILL), and waits for their end. Data that they had not written is lost.
    pub fn kill(&self) {
        let children = self.children();
        self.signal(Signal::KILL);
        self.wait_for_exit();
        // A PostgreSQL does not start while children of the one before it still use the shared memory.
        for child in children {
            let _ = kill_process(child, Signal::KILL);
            wait_for_exit_of(child);
        }
    }

    /// Terminates the process (SIGTERM) and waits for its end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
        self.wait_for_exit();
    }

    /// Starts the process again after it was killed or terminated, with the same port and data.
    ///
    /// # Panics
    /// If it does not start within a minute.
    pub fn restart(&self) {
        self.wait_for_exit();
        self.run().unwrap_or_else(|why| panic!("the server does not start again: {why}"));
    }

    /// Pauses the process and its children (SIGSTOP). Once this returns, connections are still open and nothing
    /// responds.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        self.signal_children(Signal::STOP);
        let server = self.supervisor().as_ref().map(|supervisor| supervisor.server.as_raw_nonzero().to_string());
        let started = Instant::now();
        // A thread on another core runs until the signal reaches it.
        while server.as_deref().is_some_and(has_running_threads) && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Resumes the process and its children (SIGCONT).
    pub fn resume(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    /// Returns the folder of its log and data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn signal(&self, signal: Signal) {
        if let Some(supervisor) = &*self.supervisor() {
            let _ = kill_process(supervisor.server, signal);
        }
    }

    fn signal_children(&self, signal: Signal) {
        for child in self.children() {
            let _ = kill_process(child, signal);
        }
    }

    /// Returns the children of the process: PostgreSQL has one for each connection.
    fn children(&self) -> Vec<Pid> {
        let Some(parent) = self.supervisor().as_ref().map(|supervisor| supervisor.server.as_raw_nonzero().to_string())
        else {
            return Vec::new();
        };
        let child = |process: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // The state and then the parent follow the name, which may contain any character.
            let is_child = stat.rsplit(')').next()?.split_whitespace().nth(1)? == parent;
            let pid = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            pid.filter(|_| is_child)
        };
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(child).collect()
    }

    fn wait_for_exit(&self) {
        let Some(mut supervisor) = self.supervisor().take() else { return };
        // The server has exited or is about to; the shell reaps it.
        wait_for_exit_of(supervisor.server);
        if let Some(input) = &mut supervisor.shell.stdin {
            let _ = input.write_all(b"keep\n");
        }
        let _ = supervisor.shell.wait();
    }

    fn supervisor(&self) -> MutexGuard<'_, Option<Supervisor>> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(mut supervisor) = self.supervisor().take() else {
            let _ = std::fs::remove_dir_all(&self.folder);
            return;
        };
        // A paused server would not react to the signal that stops it.
        let _ = kill_process(supervisor.server, Signal::CONT);
        drop(supervisor.shell.stdin.take());
        let _ = supervisor.shell.wait();
    }
}

/// Waits until the process has exited, for at most 30 seconds.
fn wait_for_exit_of(process: Pid) {
    let pid = process.as_raw_nonzero().to_string();
    let started = Instant::now();
    while is_running(&pid) && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether the process is running. A zombie is not.
fn is_running(pid: &str) -> bool {
    !matches!(state(Path::new(&format!("/proc/{pid}"))).as_deref(), None | Some("Z" | "X"))
}

/// Returns whether any thread of the process is not stopped.
fn has_running_threads(pid: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| state(&thread.path())).any(|state| state != "T")
}

/// Returns the letter of the state of a process or thread, from its folder under `/proc`. It follows the name, which
/// may contain any character.
fn state(folder: &Path) -> Option<String> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().next().map(str::to_owned)
}

/// The ports of servers. They are below those that the system gives to outgoing connections (from 32,768 on Linux), of
/// which one could otherwise take a port before its server does.
const PORTS: Range<u16> = 10_000..32_000;

/// Returns a port that nothing listens on, or 0 if no port can be bound. A process gets each port once, and processes
/// start at random ones.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(()) >> 1));
    let count = u64::from(PORTS.end - PORTS.start);
    let mut ports = PORTS.map(|_| PORTS.start + (NEXT.fetch_add(1, Ordering::Relaxed) % count) as u16);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_given_once_and_not_to_outgoing_connections() {
        let ports: HashSet<u16> = (0..500).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 500);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        for _ in PORTS {
            assert_ne!(free_port(), taken_port, "a port that is listened on");
        }
    }
}
