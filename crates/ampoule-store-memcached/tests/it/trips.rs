//! The cost of each operation, in commands as counted by the server.

use std::time::{Duration, Instant};

use crate::support::{HOUR, create, entry, key, stat, store, talk};
use ampoule_core::{Entry, PutMode, PutResult, Store, Tag};
use ampoule_test_servers::{Kind, Server};

/// Returns how often the server gets, sets and deletes during one operation.
async fn commands<T>(port: u16, operation: impl Future<Output = T>) -> ([u64; 3], T) {
    let count = || [["cmd_get", ""], ["cmd_set", ""], ["delete_hits", "delete_misses"]].map(|names| sum(port, &names));
    let before = count();
    let result = operation.await;
    let after = count();
    (std::array::from_fn(|index| after[index] - before[index]), result)
}

fn sum(port: u16, names: &[&str]) -> u64 {
    names.iter().filter(|name| !name.is_empty()).map(|name| stat(port, name)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_one_command_to_read_and_one_to_save() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let port = server.node().port;
    let (mine, other) = (store(server.url(), "p:"), store(server.url(), "p:"));
    create(&mine, key("warm"), entry("x")).await;
    let (cost, _) = commands(port, create(&mine, key("one"), entry("x"))).await;
    assert_eq!(cost, [0, 1, 0], "create");
    // Another process has made a connection with it.
    other.get(key("one")).await.unwrap();
    let (cost, found) = commands(port, other.get(key("one"))).await;
    assert_eq!(cost, [1, 0, 0], "read");
    let version = found.unwrap().unwrap().version;
    let (cost, outcome) = commands(port, other.put(key("one"), entry("y"), PutMode::Replace(version))).await;
    assert_eq!(cost, [0, 1, 0], "save what was read");
    let PutResult::Stored(version) = outcome.unwrap() else { panic!("a conflict with no other writer") };
    let (cost, outcome) = commands(port, other.put(key("one"), entry("z"), PutMode::Replace(version))).await;
    assert_eq!(cost, [0, 1, 0], "save what was saved");
    let PutResult::Stored(version) = outcome.unwrap() else { panic!("a conflict with no other writer") };
    let (cost, outcome) = commands(port, mine.put(key("one"), entry("z"), PutMode::Replace(version))).await;
    assert_eq!(cost, [1, 1, 0], "save what another has read");
    let PutResult::Stored(last) = outcome.unwrap() else { panic!("a conflict with no other writer") };
    let (cost, outcome) = commands(port, other.put(key("one"), entry("late"), PutMode::Replace(version))).await;
    assert_eq!(cost, [1, 1, 0], "learn of a conflict");
    assert_eq!(outcome.unwrap(), PutResult::Conflict);
    let (cost, touched) = commands(port, mine.touch(key("one"), last, 2 * HOUR)).await;
    assert_eq!((cost, touched.unwrap()), ([1, 1, 0], true), "touch");
    let (cost, touched) = commands(port, mine.touch(key("one"), last, HOUR)).await;
    assert_eq!((cost, touched.unwrap()), ([1, 0, 0], true), "touch what lives longer");
    let (cost, touched) = commands(port, mine.touch(key("one"), version, 3 * HOUR)).await;
    assert_eq!((cost, touched.unwrap()), ([1, 0, 0], false), "touch of another version");
    let (cost, deleted) = commands(port, mine.delete(key("one"))).await;
    assert_eq!((cost, deleted.unwrap()), ([0, 0, 1], true), "delete what was read");
    let (cost, deleted) = commands(port, mine.delete(key("none"))).await;
    assert_eq!((cost, deleted.unwrap()), ([1, 0, 0], false), "delete what is not there");
    let (cost, _) = commands(port, mine.sweep(100)).await;
    assert_eq!(cost, [0, 0, 0], "sweep");
}

/// The tag is written in the same round trip, and its item about once in a quarter of a lifetime.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_costs_one_more_command_per_save() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let port = server.node().port;
    let store = store(server.url(), "p:");
    let tagged =
        |seconds: u64| Entry { lifetime: Duration::from_secs(seconds), tag: Some(Tag::of("user:42")), ..entry("x") };
    // Two connections, each of which reads the server's boot id once.
    drop(tokio::join!(store.get(key("one")), store.get(key("one"))));
    let (cost, version) = commands(port, create(&store, key("one"), tagged(1_000))).await;
    assert_eq!(cost, [1, 2, 0], "login");
    let (cost, outcome) = commands(port, store.put(key("one"), tagged(1_200), PutMode::Replace(version))).await;
    assert_eq!(cost, [1, 1, 0], "save");
    let PutResult::Stored(version) = outcome.unwrap() else { panic!("a conflict with no other writer") };
    let (cost, outcome) = commands(port, store.put(key("one"), tagged(1_300), PutMode::Replace(version))).await;
    assert_eq!(cost, [1, 2, 0], "save beyond the time until which the tag names it");
    let PutResult::Stored(version) = outcome.unwrap() else { panic!("a conflict with no other writer") };
    let (cost, touched) = commands(port, store.touch(key("one"), version, Duration::from_secs(1_400))).await;
    assert_eq!((cost, touched.unwrap()), ([2, 1, 0], true), "touch");
    for number in 0..100 {
        create(&store, key(&number.to_string()), tagged(1_000)).await;
    }
    let (cost, found) = commands(port, store.keys_with_tag(Tag::of("user:42"))).await;
    assert_eq!((cost, found.unwrap().len()), ([102, 0, 0], 101), "each value is asked whether it has the tag");
}

/// The answers with many large values do not fill the buffers of both sides while commands are still being sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_many_large_values_does_not_hang() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let store = store(server.url(), "p:");
    let tag = Some(Tag::of("user:42"));
    for number in 0..1_000 {
        create(&store, key(&number.to_string()), Entry { tag, ..entry(vec![7; 100_000]) }).await;
    }
    assert_eq!(store.keys_with_tag(Tag::of("user:42")).await.unwrap().len(), 1_000);
}

/// Compares with the same commands on one plain connection. In a release build: `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn operations_a_second() {
    use std::io::{Read, Write};
    const ROUNDS: u32 = 20_000;
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let port = server.node().port;
    let store = store(server.url(), "p:");
    let rate = |started: Instant| (f64::from(ROUNDS) / started.elapsed().as_secs_f64()) as u64;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut ask = |command: &[u8]| {
        let mut buffer = [0; 1_024];
        stream.write_all(command).unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
    };
    let mut lines = Vec::new();
    let name = format!("p:{}", key("raw"));
    ask(format!("ms {name} 200 T60\r\n{}\r\n", "x".repeat(200)).as_bytes());
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| ask(format!("mg {name} v c\r\n").as_bytes()));
    lines.push(format!("raw read {}/s", rate(started)));
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| ask(format!("ms {name} 200 c T60\r\n{}\r\n", "x".repeat(200)).as_bytes()));
    lines.push(format!("raw write {}/s", rate(started)));
    let mut version = create(&store, key("one"), entry(vec![b'x'; 200])).await;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        store.get(key("one")).await.unwrap();
    }
    lines.push(format!("read {}/s", rate(started)));
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let put = store.put(key("one"), entry(vec![b'x'; 200]), PutMode::Replace(version)).await.unwrap();
        let PutResult::Stored(next) = put else { panic!("a conflict with no other writer") };
        version = next;
    }
    lines.push(format!("save {}/s", rate(started)));
    std::io::stdout().write_all(format!("{}\n", lines.join(", ")).as_bytes()).unwrap();
    assert!(talk(port, b"version\r\n", "\r\n").starts_with("VERSION"));
}
