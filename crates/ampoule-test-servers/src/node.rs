//! One process of a server: started, killed, paused, started again.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Runs a server, says its process id, and waits. At the end of the input the server is stopped and its folder removed;
/// after a line of input the folder stays.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null >>"$NODE_FOLDER/log" 2>&1 3<&- &
echo $!
if read -r line <&3; then keep=1; else keep=; fi
kill -"$NODE_SIGNAL" $! 2>/dev/null
wait $! 2>/dev/null
[ -n "$keep" ] || rm -rf "$NODE_FOLDER"
"#;

/// One process.
pub struct Node {
    /// Where it listens, on loopback.
    pub port: u16,
    folder: PathBuf,
    command: Vec<String>,
    last_signal: &'static str,
    ready: Box<dyn Fn(u16) -> bool + Send + Sync>,
    keeper: Mutex<Option<Keeper>>,
}

struct Keeper {
    shell: Child,
    server: Pid,
}

impl Node {
    /// Starts the command and waits until it is ready to serve.
    pub(crate) fn start(
        port: u16,
        folder: PathBuf,
        command: Vec<String>,
        last_signal: &'static str,
        ready: impl Fn(u16) -> bool + Send + Sync + 'static,
    ) -> Result<Node, String> {
        let node = Node { port, folder, command, last_signal, ready: Box::new(ready), keeper: Mutex::default() };
        node.run()?;
        Ok(node)
    }

    fn run(&self) -> Result<(), String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "keeper"]).args(&self.command);
        shell.env("NODE_FOLDER", &self.folder).env("NODE_SIGNAL", self.last_signal);
        shell.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().map_err(|error| format!("no shell: {error}"))?;
        let mut line = String::new();
        let out = shell.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        let server = line.trim().parse().ok().and_then(Pid::from_raw).ok_or("no process id")?;
        *self.keeper() = Some(Keeper { shell, server });
        self.wait_until_ready()
    }

    /// Waits until the server answers.
    fn wait_until_ready(&self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if (self.ready)(self.port) {
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

    /// Kills it as a power failure would (SIGKILL). What its database had not written is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait_for_the_end();
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
        self.wait_for_the_end();
    }

    /// Starts it again after it was killed or terminated.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        self.wait_for_the_end();
        self.run().unwrap_or_else(|why| panic!("a server does not start again: {why}"));
    }

    /// Stops it and its children where they stand (SIGSTOP): connections stay open and nothing answers, once this returns.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        self.signal_children(Signal::STOP);
        let server = self.keeper().as_ref().map(|keeper| keeper.server.as_raw_nonzero().to_string());
        let started = Instant::now();
        // A thread that runs on the other core does so until it hears of the signal.
        while server.as_deref().is_some_and(has_running_threads) && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Resumes them (SIGCONT).
    pub fn resume(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    /// What it writes its log and data to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn signal(&self, signal: Signal) {
        if let Some(keeper) = &*self.keeper() {
            let _ = kill_process(keeper.server, signal);
        }
    }

    /// PostgreSQL has a process for each connection.
    fn signal_children(&self, signal: Signal) {
        let Some(parent) = self.keeper().as_ref().map(|keeper| keeper.server.as_raw_nonzero().to_string()) else {
            return;
        };
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            // After the name, which may hold anything: the state, then the parent.
            let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            let pid = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            if let (true, Some(pid)) = (of == Some(parent.as_str()), pid) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    fn wait_for_the_end(&self) {
        let Some(mut keeper) = self.keeper().take() else { return };
        // The shell reaps the server, which is dead or about to be.
        let pid = keeper.server.as_raw_nonzero().to_string();
        let started = Instant::now();
        while is_running(&pid) && started.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(input) = &mut keeper.shell.stdin {
            let _ = input.write_all(b"keep\n");
        }
        let _ = keeper.shell.wait();
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(mut keeper) = self.keeper().take() else {
            let _ = std::fs::remove_dir_all(&self.folder);
            return;
        };
        // A paused server would not end.
        let _ = kill_process(keeper.server, Signal::CONT);
        drop(keeper.shell.stdin.take());
        let _ = keeper.shell.wait();
    }
}

/// Whether the process lives; one that is dead and not yet reaped does not.
fn is_running(pid: &str) -> bool {
    !matches!(state(Path::new(&format!("/proc/{pid}"))).as_deref(), None | Some("Z" | "X"))
}

/// Whether a thread of the process is not stopped.
fn has_running_threads(pid: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| state(&thread.path())).any(|state| state != "T")
}

/// The letter for what a process or a thread is doing, in its folder under `/proc`: it follows the name, which may
/// hold anything.
fn state(folder: &Path) -> Option<String> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().next().map(str::to_owned)
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map_or(0, |address| address.port())
}
