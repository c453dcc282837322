//! Faults under load: eight clients count in their sessions while the store's server is killed, paused, cut off or
//! full. Afterwards all acknowledged increments exist, none was counted twice, and nothing had to be restarted.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampoule::Options;
use ampoule::store::StoreOptions;
use ampoule_test_servers::{Kind, Proxy, Server};
use http::StatusCode;
use support::{Client, Site};
use tokio::task::JoinHandle;

const CLIENTS: usize = 8;

/// One client's counter: the number of acknowledged increments, and of those with an unknown outcome.
struct Counted {
    client: Client,
    acknowledged: u64,
    uncertain: u64,
}

/// Clients that count until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Counted>>,
}

impl Load {
    async fn start(site: &Site) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = site.client();
            assert_eq!(client.post("/login/ada").await.status, StatusCode::OK);
            clients.push(tokio::spawn(count(client, stop.clone())));
        }
        Load { stop, clients }
    }

    /// Ends the load and looks at every counter.
    async fn stop(self) -> Counts {
        self.stop.store(true, Ordering::SeqCst);
        let mut tally = Counts::default();
        for client in self.clients {
            let mut counted = client.await.unwrap();
            let found = settled(&mut counted.client).await;
            tally.acknowledged += counted.acknowledged;
            tally.uncertain += counted.uncertain;
            tally.lost += counted.acknowledged.saturating_sub(found);
            tally.too_many += found.saturating_sub(counted.acknowledged + counted.uncertain);
        }
        let test = std::thread::current().name().map(str::to_owned);
        println!("{}: {tally:?}", test.unwrap_or_default());
        tally
    }
}

async fn count(mut client: Client, stop: Arc<AtomicBool>) -> Counted {
    let (mut acknowledged, mut uncertain) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let answer = client.post("/count/n").await;
        match answer.status {
            StatusCode::OK => acknowledged += 1,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert_eq!(answer.headers["retry-after"], "1");
                uncertain += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("an outage was answered with {other}: {}", answer.text),
        }
        assert_eq!(client.get("/").await.status, StatusCode::OK, "who needs no session notices nothing");
    }
    Counted { client, acknowledged, uncertain }
}

#[derive(Debug, Default)]
struct Counts {
    acknowledged: u64,
    uncertain: u64,
    lost: u64,
    too_many: u64,
}

impl Counts {
    fn assert_exact(&self) {
        assert_eq!((self.lost, self.too_many), (0, 0), "{self:?}");
        assert!(self.acknowledged > 100, "{self:?}");
    }
}

/// The counter, as soon as the store answers again: within a minute, by itself.
async fn settled(client: &mut Client) -> u64 {
    let started = Instant::now();
    loop {
        let answer = client.get("/get/n").await;
        if answer.status == StatusCode::OK {
            return answer.text.parse().unwrap_or(0);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the store does not come back: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn site_at(url: &str, change: impl FnOnce(&mut StoreOptions)) -> Site {
    let short = |options: &mut StoreOptions| {
        options.pool.connect_timeout = Duration::from_millis(500);
        options.pool.command_timeout = Duration::from_millis(700);
        options.pool.pool_timeout = Duration::from_millis(500);
        change(options);
    };
    Site::at(url, short, |options: &mut Options| {
        options.store_timeout = Some(Duration::from_secs(3));
        // For the test that fills a disk with one session.
        options.max_record_size = 32 << 20;
    })
}

async fn killed_and_restarted(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let site = site_at(server.url(), |_| {});
    let load = Load::start(&site).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| server.node().kill());
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| server.node().restart());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let tally = load.stop().await;
    tally.assert_exact();
    // A Cluster's client may have tried again until the node was back.
    assert!(tally.uncertain > 0 || kind == Kind::RedisCluster, "no client noticed");
}

macro_rules! faults {
    ($($fault:ident: $($name:ident $kind:ident),+;)*) => {$(
        mod $fault {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    super::$fault(super::Kind::$kind).await;
                }
            )+
        }
    )*};
}

faults! {
    killed_and_restarted: redis RedisDurable, redis_cluster RedisCluster, postgres PostgresDurable, mariadb MariaDbDurable;
    paused: redis Redis, redis_cluster RedisCluster, postgres Postgres, mariadb MariaDb, memcached Memcached;
    cut_off_in_mid_reply: redis Redis, postgres Postgres, mariadb MariaDb, memcached Memcached;
}

/// Connections stay open, and nothing answers.
async fn paused(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let site = site_at(server.url(), |_| {});
    let load = Load::start(&site).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.node().pause();
        let started = Instant::now();
        let answer = site.client().post("/set/a/1").await;
        assert!(started.elapsed() < Duration::from_secs(4), "a hang of {:?}", started.elapsed());
        // In a Cluster the key may lie on another node.
        assert!([StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK].contains(&answer.status));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        server.node().resume();
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let tally = load.stop().await;
    tally.assert_exact();
    assert!(tally.uncertain > 0, "no client noticed");
}

/// Of every seventh reply only half arrives, and its connection is reset: the writer cannot know whether the write was
/// done.
async fn cut_off_in_mid_reply(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let port = server.node().port;
    let proxy = Proxy::to(port).unwrap();
    let url = server.url().replace(&port.to_string(), &proxy.port.to_string());
    let site = site_at(&url, |_| {});
    let load = Load::start(&site).await;
    proxy.cut_every(7);
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.cut_every(0);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    load.stop().await.assert_exact();
    assert!(proxy.cuts() > 10, "only {} replies were cut", proxy.cuts());
}

/// The master dies, the sentinel makes the replica the master. With `replicas = 1` each write waited for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinel_fails_over() {
    let Some(server) = Server::start(Kind::RedisSentinel) else { return };
    let site = site_at(server.url(), |options| options.replicas = 1);
    let load = Load::start(&site).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::task::block_in_place(|| server.node().kill());
    // Long enough for the sentinel to see it; then the old master comes back, as a replica of the new one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    tokio::task::block_in_place(|| server.node().restart());
    let mut client = site.client();
    let started = Instant::now();
    while client.post("/set/a/1").await.status != StatusCode::OK {
        assert!(started.elapsed() < Duration::from_secs(60), "no master within a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = load.stop().await;
    tally.assert_exact();
    assert!(tally.uncertain > 0, "no client noticed");
}

/// The data in memcached is lost, as its docs state first. Nothing else breaks: no errors, no old data.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_memcached_loses_all_sessions_and_nothing_else() {
    let Some(server) = Server::start(Kind::Memcached) else { return };
    let site = site_at(server.url(), |_| {});
    let mut client = site.client();
    client.post("/login/ada").await;
    tokio::task::block_in_place(|| server.node().kill());
    assert_eq!(client.get("/get/user").await.status, StatusCode::SERVICE_UNAVAILABLE);
    tokio::task::block_in_place(|| server.node().restart());
    assert_eq!(client.value("user").await, "none");
    client.post("/login/eve").await;
    assert_eq!(client.value("user").await, "eve");
}

/// A disk of four megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(folder));
        }
        let line = "skipped: a full disk needs the right to mount a tmpfs";
        assert!(std::env::var_os("AMPOULE_TEST_REQUIRE_ALL").is_none(), "{line}");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).output();
    }
}

async fn disk_is_full(url: impl FnOnce(&std::path::Path) -> String) {
    let Some(disk) = SmallDisk::mount() else { return };
    let site = site_at(&url(disk.0.path()), |_| {});
    let mut client = site.client();
    client.post("/set/kept/yes").await;
    let ballast = disk.0.path().join("ballast");
    let long = "x".repeat(60_000);
    let mut refused = None;
    for n in 0..200 {
        let answer = client.post(&format!("/set/k{n}/{long}")).await;
        if answer.status != StatusCode::OK {
            refused = Some((n, answer));
            break;
        }
        if n == 5 {
            // Another program fills most of the disk.
            std::fs::write(&ballast, vec![7; 2 << 20]).unwrap();
        }
    }
    let (saved, answer) = refused.expect("the disk never became full");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    assert_eq!(client.value("kept").await, "yes", "what was saved stands");
    for n in 0..saved {
        assert_eq!(client.value(&format!("k{n}")).await.len(), long.len(), "session key {n} of {saved}");
    }
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(client.post("/set/after/1").await.status, StatusCode::OK, "it works again when there is space");
    assert_eq!(client.value("after").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_files_is_full() {
    disk_is_full(|folder| format!("file:{}", folder.join("sessions").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_sqlite_is_full() {
    disk_is_full(|folder| format!("sqlite:{}", folder.join("sessions.db").display())).await;
}
