//! Shared by the tests of the memcached store.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ampoule_core::{Bytes, Entry, PoolOptions, PutMode, PutResult, Store, StoreKey, Version};
use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
use ampoule_test_servers::{Kind, shared};

/// Time limits that a test can wait for.
pub fn quick(prefix: &str) -> MemcachedOptions {
    let pool = PoolOptions {
        connect_timeout: Duration::from_millis(400),
        pool_timeout: Duration::from_millis(300),
        command_timeout: Duration::from_millis(500),
        ..PoolOptions::default()
    };
    MemcachedOptions { prefix: prefix.to_owned(), pool, ..MemcachedOptions::default() }
}

pub fn store(url: &str, prefix: &str) -> MemcachedStore {
    MemcachedStore::connect(url, quick(prefix)).unwrap()
}

pub fn key(text: &str) -> StoreKey {
    StoreKey::digest(text.as_bytes())
}

pub const HOUR: Duration = Duration::from_secs(3_600);

/// An entry that lives for an hour.
pub fn entry(value: impl Into<Bytes>) -> Entry {
    Entry { value: value.into(), lifetime: HOUR, tag: None }
}

pub async fn create(store: &dyn Store, key: StoreKey, entry: Entry) -> Version {
    match store.put(key, entry, PutMode::Create).await.unwrap() {
        PutResult::Stored(version) => version,
        PutResult::Conflict => panic!("the key was there"),
    }
}

pub async fn value(store: &dyn Store, key: StoreKey) -> Option<Bytes> {
    store.get(key).await.unwrap().map(|stored| stored.value)
}

/// Sends text to a server as another client would, and reads until `end` arrives.
pub fn talk(port: u16, text: &[u8], end: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(text).unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4_096];
    while !said.contains(end) {
        let size = stream.read(&mut buffer).unwrap();
        assert!(size > 0, "the server hung up after {said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..size]));
    }
    said
}

/// Returns one number of a server's statistics.
pub fn stat(port: u16, name: &str) -> u64 {
    let stats = talk(port, b"stats\r\n", "END\r\n");
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {stats}"))
}

/// A memcached with options that `Server` does not offer. It stops when this value is dropped, or with the process.
pub struct CustomServer {
    pub port: u16,
    keeper: Child,
}

/// Stops the server when the script's input ends.
const KEEPER: &str = "exec 3<&0; \"$@\" </dev/null 3<&- & read -r line <&3; kill $!; wait $!";

impl CustomServer {
    /// Returns `None` if memcached is not installed.
    pub fn start(options: &[&str]) -> Option<CustomServer> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = ["-l", "127.0.0.1", "-U", "0", "-p", &port.to_string()];
        CustomServer::run(port, &[&place, options].concat(), || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Starts a server that listens on a socket only.
    #[cfg(unix)]
    pub fn socket(path: &std::path::Path) -> Option<CustomServer> {
        let ready = || std::os::unix::net::UnixStream::connect(path).is_ok();
        CustomServer::run(0, &["-s", path.to_str().unwrap()], ready)
    }

    fn run(port: u16, options: &[&str], ready: impl Fn() -> bool) -> Option<CustomServer> {
        shared(Kind::Memcached)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "keeper", "memcached", "-u", "root"]).args(options);
        let own = CustomServer { port, keeper: shell.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap() };
        for _ in 0..500 {
            if ready() {
                return Some(own);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("memcached {options:?} does not start");
    }

    pub fn url(&self) -> String {
        format!("memcached://127.0.0.1:{}", self.port)
    }
}

impl Drop for CustomServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
