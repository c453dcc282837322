//! Promise P5, counted by store calls and by the servers' own statistics: the cost of a request on warm connections.

mod support;

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use ampoule::{Error, Session};
use ampoule_test_servers::{Kind, Server};
use axum::Router;
use axum::routing::post;
use support::{Client, Site};

/// The number of operations that a server has counted so far.
type Counter = Box<dyn Fn() -> u64>;

/// A request and its cost: gets, puts, touches and deletes.
struct Case {
    what: &'static str,
    request: (&'static str, &'static str),
    /// A client without a cookie.
    is_first: bool,
    calls: [usize; 4],
}

const fn case(what: &'static str, method: &'static str, path: &'static str, calls: [usize; 4]) -> Case {
    Case { what, request: (method, path), is_first: false, calls }
}

const fn first(what: &'static str, method: &'static str, path: &'static str, calls: [usize; 4]) -> Case {
    Case { is_first: true, ..case(what, method, path, calls) }
}

/// One client's requests, one after the other.
const CASES: [Case; 13] = [
    first("a new session", "POST", "/set/a/1", [0, 1, 0, 0]),
    case("untouched", "GET", "/", [0, 0, 0, 0]),
    case("read", "GET", "/info", [1, 0, 0, 0]),
    case("read and write", "POST", "/set/a/2", [1, 1, 0, 0]),
    // The touch proves that the new secret is still the session's, after the handler and before it is sent.
    case("a new secret", "POST", "/rotate", [1, 1, 1, 0]),
    case("the first request with the new secret", "GET", "/info", [1, 1, 0, 0]),
    case("a request after that", "GET", "/info", [1, 0, 0, 0]),
    case("a login: its own session, and the freeze of the old", "POST", "/login/ada", [1, 2, 0, 0]),
    case("the first request of the login, which ends the old session", "GET", "/info", [2, 2, 0, 0]),
    case("a request after that", "GET", "/info", [1, 0, 0, 0]),
    first("a login without a session", "POST", "/login/eve", [0, 1, 0, 0]),
    case("the first request of that login", "GET", "/info", [1, 1, 0, 0]),
    case("a request after that", "GET", "/info", [1, 0, 0, 0]),
];

fn talk(port: u16, line: &str, end: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.contains(end) {
        let size = stream.read(&mut buffer).unwrap();
        assert!(size > 0, "the server hung up");
        text.push_str(&String::from_utf8_lossy(&buffer[..size]));
    }
    text
}

fn number_after(text: &str, name: &str) -> u64 {
    let rest = text.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {text}"));
    let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

async fn rotate(session: Session) -> Result<(), Error> {
    session.regenerate_id();
    session.save().await
}

/// Sends all requests, once to warm up, and compares the server's counts.
async fn count(server: Server, counter: Counter, expected: [u64; CASES.len()]) {
    let mut site = Site::at(server.url(), |_| {}, |_| {});
    let routes = support::site::routes().merge(Router::new().route("/rotate", post(rotate)));
    site.app = routes.layer(site.layer.clone());
    all_cases(&site, &counter).await;
    let counted = all_cases(&site, &counter).await;
    let whats = CASES.map(|case| case.what);
    assert_eq!(whats.into_iter().zip(counted).collect::<Vec<_>>(), whats.into_iter().zip(expected).collect::<Vec<_>>());
}

async fn all_cases(site: &Site, counter: &Counter) -> Vec<u64> {
    let mut client: Client = site.client();
    let mut counted = Vec::new();
    for Case { what, request: (method, path), is_first, calls } in CASES {
        if is_first {
            client = site.client();
        }
        site.clock.advance(support::SECOND);
        site.spy.calls();
        let before = counter();
        assert!(client.send(method, path).await.status.is_success(), "{what}");
        counted.push(counter() - before);
        assert_eq!(site.spy.calls(), calls, "gets, puts, touches and deletes for {what}");
    }
    counted
}

/// The commands that clients send to a Redis, those that scripts call not counted.
struct Monitor {
    port: u16,
    lines: RefCell<std::io::Lines<BufReader<TcpStream>>>,
    seen: RefCell<u64>,
}

impl Monitor {
    fn start(port: u16) -> Monitor {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "+OK");
        Monitor { port, lines: RefCell::new(lines), seen: RefCell::new(0) }
    }

    /// Reads up to a command of its own, which follows all that were sent before.
    fn count(&self) -> u64 {
        talk(self.port, "ECHO count\r\n", "count");
        for line in self.lines.borrow_mut().by_ref() {
            let line = line.unwrap();
            match line.contains("\"ECHO\" \"count\"") {
                true => break,
                false => *self.seen.borrow_mut() += u64::from(!line.contains(" lua]")),
            }
        }
        *self.seen.borrow()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_trips_to_redis() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let monitor = Monitor::start(server.node().port);
    // The tag of a session's principal is written with each put, as a second command in the same trip.
    count(server, Box::new(move || monitor.count()), [1, 0, 1, 2, 3, 2, 1, 4, 5, 1, 2, 3, 1]).await;
}

/// Sixteen requests have loaded one session and save it concurrently: each queued writer continues from the record that
/// the previous one wrote, without reading it again.
#[tokio::test]
async fn p5_queued_writers_reuse_the_previous_writers_record() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let site = Site::at(server.url(), |_| {}, |_| {});
    let mut client = site.client();
    client.post("/set/a/1").await;
    let gate = support::site::gate("line").await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..16 {
        let mut client = client.clone();
        requests.spawn(async move { client.post(&format!("/slow/key{number}/1/line")).await.status });
    }
    gate.loaded.acquire_many(16).await.unwrap().forget();
    site.spy.calls();
    gate.go_on.add_permits(16);
    assert!(requests.join_all().await.iter().all(|status| status.is_success()));
    let [gets, puts, ..] = site.spy.calls();
    assert!(gets < 8 && puts < 24, "{gets} gets and {puts} puts for 16 saves");
    for number in 0..16 {
        assert_eq!(client.get(&format!("/get/key{number}")).await.text, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_trips_to_memcached() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let port = server.node().port;
    let own_connections = Cell::new(0);
    let counter = move || {
        let text = talk(port, "stats\r\n", "END");
        own_connections.set(own_connections.get() + 1);
        let commands: u64 = ["cmd_get ", "cmd_set ", "cmd_touch "].map(|name| number_after(&text, name)).iter().sum();
        // Each connection of the store begins with a read; when a second one is opened depends on the scheduler.
        commands + own_connections.get() + 100 - number_after(&text, "total_connections ")
    };
    // A value with a tag takes a second command, which goes along; the first save of a login takes three. memcached
    // counts a touch that moves nothing as the read that it is.
    count(server, Box::new(counter), [1, 0, 1, 2, 3, 2, 1, 5, 5, 1, 3, 3, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_trips_to_mariadb() {
    let Some(server) = Server::start(Kind::MariaDb) else { return };
    let port = server.node().port.to_string();
    let counter = move || {
        let mut ask = std::process::Command::new("mariadb");
        ask.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "root", "-N", "-P", &port]);
        ask.args(["-e", "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'"]);
        number_after(&String::from_utf8(ask.output().unwrap().stdout).unwrap(), "Com_stmt_execute")
    };
    // A touch that finds nothing to move asks whether the session is there.
    count(server, Box::new(counter), [1, 0, 1, 2, 4, 2, 1, 3, 4, 1, 1, 2, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_trips_to_postgres() {
    let Some(server) = Server::start(Kind::Postgres) else { return };
    let (port, log) = (server.node().port, server.node().folder().join("log"));
    let (client, connection) = tokio_postgres::connect(
        &format!("host=127.0.0.1 port={port} user=ampoule dbname=ampoule"),
        tokio_postgres::NoTls,
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    client.batch_execute("ALTER SYSTEM SET log_statement = 'all'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let counter =
        move || std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("execute s")).count() as u64;
    count(server, Box::new(counter), [1, 0, 1, 2, 3, 2, 1, 3, 4, 1, 1, 2, 1]).await;
}
