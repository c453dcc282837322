//! Nodes: processes of this test binary that serve the site on one store, over real sockets.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ampoule::store::StoreOptions;
use ampoule::{Clock, Options, PoolOptions, SessionLayer, SystemClock};
use axum::Router;
use axum::extract::Path as UrlPath;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::site::gate;

/// The environment variables that make a process of this test binary a node: the store, the name of its data, the
/// limits.
const URL: &str = "AMPOULE_TEST_SERVER_URL";
const NAME: &str = "AMPOULE_TEST_SERVER_NAME";
const LIMITS: &str = "AMPOULE_TEST_SERVER_LIMITS";

/// A node's time limit for its store, and its grace for old tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) store_timeout: Duration,
    pub(crate) rotation_grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let Options { store_timeout, rotation_grace, .. } = Options::default();
        Limits { store_timeout: store_timeout.unwrap_or(Duration::MAX), rotation_grace }
    }
}

/// A layer with the real clock, on data of this name.
pub(crate) fn layer(url: &str, name: &str, limits: Limits) -> SessionLayer {
    let mut pool = PoolOptions::default();
    pool.pool_timeout = pool.pool_timeout.min(limits.store_timeout);
    pool.command_timeout = pool.command_timeout.min(limits.store_timeout);
    let store = StoreOptions { table: name.to_owned(), prefix: format!("{name}:"), pool, ..StoreOptions::default() };
    let store = ampoule::store::open(url, &store).unwrap();
    let options = Options {
        clock: Arc::new(SystemClock),
        store_timeout: Some(limits.store_timeout),
        rotation_grace: limits.rotation_grace,
        sweep_interval: Some(Duration::from_millis(100)),
        ..super::options(Arc::default())
    };
    SessionLayer::new(store, options).unwrap()
}

/// The main function of a node. Without its environment variables it returns at once.
pub(crate) async fn serve() {
    let Ok(url) = std::env::var(URL) else { return };
    let limits = std::env::var(LIMITS).unwrap();
    let (store_timeout, rotation_grace) = limits.split_once(' ').unwrap();
    let [store_timeout, rotation_grace] =
        [store_timeout, rotation_grace].map(|limit| Duration::from_millis(limit.parse().unwrap()));
    let layer = layer(&url, &std::env::var(NAME).unwrap(), Limits { store_timeout, rotation_grace });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nport {} at {}", listener.local_addr().unwrap().port(), SystemClock.now().as_millis());
    axum::serve(listener, super::site::routes().layer(layer).merge(gates())).await.unwrap();
}

/// The gates of this node, for a test in another process: it waits until a slow request has loaded its session, and
/// lets it continue.
fn gates() -> Router {
    let loaded = async |UrlPath(name): UrlPath<String>| gate(&name).await.loaded.acquire().await.unwrap().forget();
    let open = async |UrlPath(name): UrlPath<String>| gate(&name).await.go_on.add_permits(1);
    Router::new().route("/gate/{name}/loaded", get(loaded)).route("/gate/{name}/open", post(open))
}

/// The nodes of one test. Each test binary that starts them has a test `server_process` that calls [`serve`].
pub(crate) struct Cluster {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) limits: Limits,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// On the store at the URL that is made of a folder for files.
    pub(crate) fn new(url: impl FnOnce(&Path) -> String) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let name = super::store_options(Arc::new(SystemClock)).table;
        Cluster { url: url(folder.path()), name, limits: Limits::default(), folder }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn nodes(&self, count: usize) -> Vec<Node> {
        (0..count).map(|_| Node::start(self)).collect()
    }

    /// A node whose clock is off by this time, such as `+2d`; `None` without libfaketime.
    pub(crate) fn node_with_clock(&self, offset: &str) -> Option<Node> {
        let mut command = self.command();
        ampoule_test_servers::set_clock_off(&mut command, offset).then(|| Node::run(command))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "server_process", "--nocapture"]).env(URL, &self.url).env(NAME, &self.name);
        let Limits { store_timeout, rotation_grace } = self.limits;
        command.env(LIMITS, format!("{} {}", store_timeout.as_millis(), rotation_grace.as_millis()));
        command
    }
}

pub(crate) struct Node {
    child: Child,
    /// Stays open: a test runner says something after a minute, and would end with an error.
    _output: Lines<BufReader<ChildStdout>>,
    pub(crate) port: u16,
    /// The offset of its clock at its start.
    pub(crate) clock_off: Duration,
}

impl Node {
    pub(crate) fn start(cluster: &Cluster) -> Node {
        Node::run(cluster.command())
    }

    fn run(mut command: Command) -> Node {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix("port ").map(str::to_owned));
        let said = said.expect("the node says its port");
        let (port, now) = said.split_once(" at ").unwrap();
        let clock_off = SystemClock.now().as_millis().abs_diff(now.parse().unwrap());
        Node { child, _output: lines, port: port.parse().unwrap(), clock_off: Duration::from_millis(clock_off) }
    }

    /// Kills the node with SIGKILL; the machine keeps what was written.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response as it came: status, the cookie that was set, body. `None` if the connection broke.
pub(crate) async fn ask(port: u16, method: &str, path: &str, cookie: &str) -> Option<(u16, Option<String>, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // The session's own cookie is the last one, after removals.
    let set = head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).next_back();
    Some((status, set.map(str::to_owned), body.to_owned()))
}
