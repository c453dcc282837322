//! Servers that stop, hang, restart or send nonsense: the result is an answer or an error in time, and never old data.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::{HOUR, create, entry, key, quick, store, value};
use ampoule_core::{Entry, ErrorKind, PoolOptions, PutMode, PutResult, Store, StoreKey};
use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
use ampoule_test_servers::{Kind, Server};
use tokio::task::block_in_place;

fn restart(server: &Server) {
    block_in_place(|| {
        server.node().kill();
        server.node().restart();
    });
}

fn limited(pool: PoolOptions) -> MemcachedOptions {
    MemcachedOptions { pool, ..quick("p:") }
}

async fn kind_of<T>(reply: impl Future<Output = Result<T, ampoule_core::Error>>) -> Option<ErrorKind> {
    reply.await.err().map(|error| error.kind())
}

/// The server restarts its tokens: the other session has the same token that the first one had.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_from_before_a_restart_is_not_valid_after_it() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let (before, after) = (store(server.url(), "p:"), store(server.url(), "p:"));
    let key = key("one");
    let old = create(&before, key, entry("before")).await;
    let cas = || crate::support::talk(server.node().port, format!("mg p:{key} c\r\n").as_bytes(), "\r\n");
    let first = cas();
    restart(&server);
    create(&after, key, entry("after")).await;
    assert_eq!(cas(), first, "the test is to have two writings of one token");
    assert_eq!(before.put(key, entry("late"), PutMode::Replace(old)).await.unwrap(), PutResult::Conflict);
    let none = Entry { lifetime: Duration::ZERO, ..entry("") };
    assert_eq!(before.put(key, none, PutMode::Replace(old)).await.unwrap(), PutResult::Conflict);
    assert_eq!(value(&before, key).await.as_deref(), Some(&b"after"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_every_key_is_absent_without_an_error() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let store = store(server.url(), "p:");
    let old = create(&store, key("one"), entry("x")).await;
    restart(&server);
    assert_eq!(value(&store, key("one")).await, None);
    restart(&server);
    assert_eq!(store.put(key("one"), entry("y"), PutMode::Replace(old)).await.unwrap(), PutResult::Conflict);
    restart(&server);
    let version = create(&store, key("one"), entry("z")).await;
    restart(&server);
    assert!(!store.touch(key("one"), version, HOUR).await.unwrap());
    restart(&server);
    assert!(!store.delete(key("one")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_can_be_created_while_its_server_is_down() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    block_in_place(|| server.node().kill());
    let store = store(server.url(), "p:");
    let error = store.get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let expected = format!("memcached at 127.0.0.1:{}: it cannot be reached", server.node().port);
    assert!(error.report().starts_with(&expected), "{error}");
    assert_eq!(kind_of(store.put(key("one"), entry("x"), PutMode::Create)).await, Some(ErrorKind::Unavailable));
    assert_eq!(kind_of(store.scan(None, 10)).await, Some(ErrorKind::Unavailable));
    block_in_place(|| server.node().restart());
    create(&store, key("one"), entry("x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_a_timeout_and_then_serves_again() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let store = store(server.url(), "p:");
    let old = create(&store, key("one"), entry("x")).await;
    server.node().pause();
    for limit in ["command_timeout", "connect_timeout"] {
        let started = Instant::now();
        let error = store.get(key("one")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.report().contains(limit), "{error}");
        assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    }
    assert_eq!(kind_of(store.put(key("one"), entry("y"), PutMode::Replace(old))).await, Some(ErrorKind::Timeout));
    assert_eq!(kind_of(store.scan(None, 10)).await, Some(ErrorKind::Timeout));
    server.node().resume();
    assert_eq!(value(&store, key("one")).await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_too_long_for_a_connection_is_a_timeout() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let options =
        limited(PoolOptions { max_connections: 1, command_timeout: Duration::from_secs(5), ..quick("p:").pool });
    let store = MemcachedStore::connect(server.url(), options).unwrap();
    create(&store, key("one"), entry("x")).await;
    server.node().pause();
    let first = tokio::spawn({
        let store = store.clone();
        async move { value(&store, key("one")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = store.get(key("one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.report().contains("pool_timeout"), "{error}");
    server.node().resume();
    assert_eq!(first.await.unwrap().as_deref(), Some(&b"x"[..]));
}

/// The answer to a cancelled command arrives when the server resumes, and no other command receives it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_command_leaves_no_answer_to_the_next() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let options = limited(PoolOptions { max_connections: 1, ..quick("p:").pool });
    let store = MemcachedStore::connect(server.url(), options).unwrap();
    create(&store, key("one"), entry("1")).await;
    create(&store, key("two"), entry("2")).await;
    server.node().pause();
    assert!(tokio::time::timeout(Duration::from_millis(50), store.get(key("one"))).await.is_err());
    server.node().resume();
    assert_eq!(value(&store, key("two")).await.as_deref(), Some(&b"2"[..]));
}

/// Another server could have an old copy, or could create a second session under one key.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_dead_server_are_read_from_no_other() {
    let servers: Option<Vec<Server>> = (0..3).map(|_| Server::start(Kind::Memcached)).collect();
    let Some(servers) = servers else { return };
    let addresses: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.node().port)).collect();
    let store = store(&format!("memcached://{}", addresses.join(",")), "p:");
    let keys: Vec<StoreKey> = (0..60).map(|number| key(&number.to_string())).collect();
    for key in &keys {
        create(&store, *key, entry("x")).await;
    }
    block_in_place(|| servers[1].node().kill());
    let mut dead = Vec::new();
    for key in keys {
        match store.get(key).await {
            Ok(found) => assert!(found.is_some(), "a key of a live server is gone"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(error.report().contains(&addresses[1]), "{error}");
                let put = store.put(key, entry("elsewhere"), PutMode::Create);
                assert_eq!(kind_of(put).await, Some(ErrorKind::Unavailable));
                dead.push(key);
            }
        }
    }
    assert!((8..35).contains(&dead.len()), "{} of 60 keys lay on one of three servers", dead.len());
    block_in_place(|| servers[1].node().restart());
    for key in dead {
        assert_eq!(value(&store, key).await, None);
    }
}

/// Starts a fake server, which handles each connection with `then` after a correct handshake.
fn fake(then: impl Fn(BufReader<TcpStream>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("memcached://{}", listener.local_addr().unwrap());
    let then = Arc::new(then);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let then = Arc::clone(&then);
            std::thread::spawn(move || then(BufReader::new(stream)));
        }
    });
    url
}

fn greet(stream: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    let answers = [
        "VERSION 1.6.18\r\n",
        "STAT item_size_max 1000\r\nEND\r\n",
        "STAT time 1795700000\r\nEND\r\n",
        "VA 8 c1 t-1\r\n12345678\r\n",
    ];
    for answer in answers {
        line.clear();
        if stream.read_line(&mut line).is_ok() {
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unexpected_answers_are_errors_in_time() {
    let endless = "x".repeat(100_000);
    let texts = ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\u{1}\u{2}\r\n", "\r\n", "VA 999 c1\r\nx", &endless];
    let texts =
        texts.into_iter().chain(["VA 99999999999999999999 c1\r\n", "VA -1\r\n", "VA 2 c1\r\nhello\r\n", "VALUE x\r\n"]);
    for (text, greets) in texts.flat_map(|text| [(text.to_owned(), false), (text.to_owned(), true)]) {
        let what = format!("{:?} {greets}", &text[..text.len().min(30)]);
        let store = store(
            &fake(move |mut stream| {
                if greets {
                    greet(&mut stream);
                    let _ = stream.read_line(&mut String::new());
                }
                let _ = stream.get_mut().write_all(text.as_bytes());
            }),
            "p:",
        );
        let started = Instant::now();
        let (read, write) = (store.get(key("one")), store.put(key("one"), entry("x"), PutMode::Create));
        assert_eq!(kind_of(read).await, Some(ErrorKind::Unavailable), "{what}");
        // A connection that breaks after a write was sent leaves the write's outcome unknown.
        let kind = kind_of(write).await;
        let in_doubt = greets && kind == Some(ErrorKind::Timeout);
        assert!(in_doubt || kind == Some(ErrorKind::Unavailable), "{what}: {kind:?}");
        assert_eq!(kind_of(store.scan(None, 1)).await, Some(ErrorKind::Unavailable), "{what}");
        assert!(started.elapsed() < Duration::from_secs(2), "{what} took {:?}", started.elapsed());
    }
    let silent = store(&fake(|mut stream| drop(stream.read_to_end(&mut Vec::new()))), "p:");
    assert_eq!(kind_of(silent.get(key("one"))).await, Some(ErrorKind::Timeout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_sent_again_and_a_write_is_not() {
    let (reads, writes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = (reads.clone(), writes.clone());
    let url = fake(move |mut stream| {
        greet(&mut stream);
        for number in 0.. {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match &line[..2] {
                "mg" => counts.0.fetch_add(1, Ordering::SeqCst),
                "ms" => counts.1.fetch_add(1, Ordering::SeqCst),
                _ => continue,
            };
            // The first command is answered, so that the connection stays idle until the second command, at which it
            // breaks.
            if number > 0 || line.starts_with("ms") {
                return;
            }
            let _ = stream.get_mut().write_all(b"EN\r\n");
        }
    });
    let store = store(&url, "p:");
    assert_eq!(value(&store, key("one")).await, None);
    assert_eq!(value(&store, key("one")).await, None, "the second read met a connection that ended");
    assert_eq!(reads.load(Ordering::SeqCst), 3, "one, and one that was sent twice");
    let write = store.put(key("one"), entry("x"), PutMode::Create).await.unwrap_err();
    assert_eq!(write.kind(), ErrorKind::Timeout, "it may have been done: {write}");
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}
