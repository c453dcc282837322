//! Promise P5 by the servers' own statistics: what a request costs in commands, once connections are warm.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use ampoule_test_servers::{Kind, Server};
use support::Site;

/// What a server has done so far, by its own count, of what we ask of it.
type Counter = Box<dyn Fn() -> u64>;

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

/// Untouched 0, read 1, read and write 2, new 1.
async fn count(server: Server, counter: Counter) {
    let site = Site::at(server.url(), |_| {}, |_| {});
    let mut client = site.client();
    for path in ["/set/a/1", "/set/a/2", "/set/a/3"] {
        client.post(path).await;
        client.get("/info").await;
    }
    let mut seen = Vec::new();
    for (method, path, fresh) in
        [("GET", "/", false), ("GET", "/info", false), ("POST", "/set/a/4", false), ("POST", "/set/a/5", true)]
    {
        let before = counter();
        let mut client = if fresh { site.client() } else { client.clone() };
        assert!(client.send(method, path).await.status.is_success());
        seen.push(counter() - before);
    }
    assert_eq!(seen, [0, 1, 2, 1], "commands for untouched, read, read and write, new");
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_trips_to_redis() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let port = server.node().port;
    let counter = move || {
        let text = talk(port, "INFO commandstats\r\nPING\r\n", "+PONG");
        let of = |name: &str| if text.contains(name) { number_after(&text, name) } else { 0 };
        // What a script calls is counted as well: each that puts reads with GETRANGE and writes with SET.
        let sent = ["get", "set", "evalsha", "eval", "zadd"].map(|name| of(&format!("cmdstat_{name}:calls=")));
        sent.iter().sum::<u64>() - of("cmdstat_getrange:calls=")
    };
    count(server, Box::new(counter)).await;
}

/// Sixteen requests have loaded one session and save it at once: those who wait for their turn go on from what the one
/// before has written, and do not read it again.
#[tokio::test]
async fn p5_writers_in_line_hand_over_what_they_wrote() {
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
    let counter = move || {
        let text = talk(port, "stats\r\n", "END");
        ["cmd_get ", "cmd_set ", "cmd_touch "].map(|name| number_after(&text, name)).iter().sum()
    };
    count(server, Box::new(counter)).await;
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
    count(server, Box::new(counter)).await;
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
    count(server, Box::new(counter)).await;
}
