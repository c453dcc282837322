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
        of("cmdstat_get:calls=") + of("cmdstat_evalsha:calls=") + of("cmdstat_eval:calls=") + of("cmdstat_zadd:calls=")
    };
    count(server, Box::new(counter)).await;
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
