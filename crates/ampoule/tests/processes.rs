//! Several server processes on one store, over real sockets.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ampoule::store::StoreOptions;
use ampoule::{SessionLayer, SystemClock};
use support::{Place, site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Tell a process of this test binary that it is a server, on which store, and what its data there are called.
const URL: &str = "AMPOULE_TEST_SERVER_URL";
const NAME: &str = "AMPOULE_TEST_SERVER_NAME";

on_places! {
    p1_no_lost_update_among_processes on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    p2_no_resurrection_among_processes on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    p7_saved_is_saved_when_the_server_is_killed on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
}

/// Not a test: what the processes that the tests start do. It returns at once where no server was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let name = std::env::var(NAME).unwrap();
    let options = StoreOptions { table: name.clone(), prefix: format!("{name}:"), ..StoreOptions::default() };
    let store = ampoule::store::open(&url, &options).unwrap();
    let options = ampoule::Options { clock: Arc::new(SystemClock), ..support::options(Arc::default()) };
    let app = site::routes().layer(SessionLayer::new(store, options).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nport {}", listener.local_addr().unwrap().port());
    axum::serve(listener, app).await.unwrap();
}

/// Where the servers of one test keep their sessions.
struct Shared {
    url: String,
    name: String,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn new(place: Place) -> Shared {
        let folder = tempfile::tempdir().unwrap();
        let name = support::store_options(Arc::new(SystemClock)).table;
        Shared { url: place.url(folder.path()), name, _folder: folder }
    }

    fn servers(&self, count: usize) -> Vec<Server> {
        (0..count).map(|_| Server::start(self)).collect()
    }
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(shared: &Shared) -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "server_process", "--nocapture"]).env(URL, &shared.url).env(NAME, &shared.name);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("port ")?.parse().ok());
        Server { child, port: port.expect("the server says its port") }
    }

    /// As the power or an operator in haste does it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response as it came: status, the cookie that was set, body. `None` if the connection broke.
async fn ask(port: u16, method: &str, path: &str, cookie: &str) -> Option<(u16, Option<String>, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    Some((status, set.map(str::to_owned), body.to_owned()))
}

async fn log_in(port: u16) -> String {
    ask(port, "POST", "/login/ada", "").await.unwrap().1.expect("a cookie")
}

async fn p1_no_lost_update_among_processes(place: Place) {
    let shared = Shared::new(place);
    let servers = shared.servers(3);
    let cookie = log_in(servers[0].port).await;
    let mut requests = JoinSet::new();
    for n in 0..64 {
        let (port, cookie) = (servers[n % 3].port, cookie.clone());
        requests.spawn(async move {
            let set = ask(port, "POST", &format!("/set/key{n}/{n}"), &cookie).await.unwrap();
            let counted = ask(port, "POST", "/count/n", &cookie).await.unwrap();
            assert_eq!((set.0, counted.0), (200, 200), "{} {}", set.2, counted.2);
        });
    }
    requests.join_all().await;
    for server in &servers {
        assert_eq!(ask(server.port, "GET", "/get/n", &cookie).await.unwrap().2, "64", "all count the same");
    }
    for n in 0..64 {
        assert_eq!(ask(servers[n % 3].port, "GET", &format!("/get/key{n}"), &cookie).await.unwrap().2, n.to_string());
    }
}

async fn p2_no_resurrection_among_processes(place: Place) {
    let shared = Shared::new(place);
    let servers = shared.servers(2);
    for _ in 0..20 {
        let cookie = log_in(servers[0].port).await;
        let mut writers = JoinSet::new();
        for n in 0..8 {
            let (port, cookie) = (servers[n % 2].port, cookie.clone());
            writers.spawn(async move { ask(port, "POST", "/count/n", &cookie).await.unwrap().0 });
        }
        assert_eq!(ask(servers[1].port, "POST", "/logout", &cookie).await.unwrap().0, 200);
        for server in &servers {
            assert_eq!(ask(server.port, "GET", "/get/user", &cookie).await.unwrap().2, "none");
        }
        let statuses = writers.join_all().await;
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        assert_eq!(ask(servers[0].port, "GET", "/get/user", &cookie).await.unwrap().2, "none");
    }
}

async fn p7_saved_is_saved_when_the_server_is_killed(place: Place) {
    let shared = Shared::new(place);
    let mut server = Server::start(&shared);
    let cookie = log_in(server.port).await;
    let mut counted = 0;
    for round in 0..10 {
        let port = server.port;
        let mut writers = JoinSet::new();
        for _ in 0..8 {
            let cookie = cookie.clone();
            writers.spawn(async move {
                let mut done = 0;
                while let Some((200, ..)) = ask(port, "POST", "/count/n", &cookie).await {
                    done += 1;
                }
                done
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(30 + 10 * round)).await;
        server.kill();
        counted += writers.join_all().await.into_iter().sum::<u64>();
        server = Server::start(&shared);
        let found: u64 = ask(server.port, "GET", "/get/n", &cookie).await.unwrap().2.parse().unwrap_or(0);
        // Up to eight were written and not yet acknowledged.
        assert!((counted..=counted + 8).contains(&found), "acknowledged {counted}, found {found}");
        counted = found;
    }
    assert!(counted > 20, "only {counted} were counted");
    assert_eq!(ask(server.port, "GET", "/get/user", &cookie).await.unwrap().2, "ada");
}
