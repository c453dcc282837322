//! How each kind of server is started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::node::{Node, free_port};
use crate::server::Server;
use crate::sql;
use crate::tools::{Failed, Setup, folder, installed, is_root, lay_out, run, words};

/// The servers that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One Redis that keeps nothing on disk.
    Redis,
    /// One Redis that syncs each write before it answers (`appendonly yes`, `appendfsync always`).
    RedisDurable,
    /// A Redis Cluster of three masters.
    RedisCluster,
    /// A Redis master, its replica, and a Sentinel that calls the master `mymaster`.
    RedisSentinel,
    /// One memcached.
    Memcached,
    /// One PostgreSQL that syncs nothing, for speed.
    Postgres,
    /// One PostgreSQL with its own settings, which survives a crash.
    PostgresDurable,
    /// One MariaDB that syncs nothing, for speed.
    MariaDb,
    /// One MariaDB with its own settings, which survives a crash.
    MariaDbDurable,
    /// A PgBouncer that gives each transaction to any connection, and its PostgreSQL.
    PgBouncerTransaction,
    /// A PgBouncer that gives each client a connection of its own, and its PostgreSQL.
    PgBouncerSession,
}

impl Kind {
    /// What Debian calls it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Kind::Redis | Kind::RedisDurable | Kind::RedisCluster => "redis-server",
            Kind::RedisSentinel => "redis-sentinel",
            Kind::Memcached => "memcached",
            Kind::Postgres | Kind::PostgresDurable => "postgresql",
            Kind::MariaDb | Kind::MariaDbDurable => "mariadb-server",
            Kind::PgBouncerTransaction | Kind::PgBouncerSession => "pgbouncer and postgresql",
        }
    }
}

pub(crate) fn start(kind: Kind, setup: &Setup) -> Result<Server, Failed> {
    match kind {
        Kind::Redis => redis(&["--save", "", "--appendonly", "no"], setup),
        Kind::RedisDurable => redis(&["--appendonly", "yes", "--appendfsync", "always"], setup),
        Kind::RedisCluster => redis_cluster(),
        Kind::RedisSentinel => redis_sentinel(),
        Kind::Memcached => memcached(),
        Kind::Postgres => sql::postgres(false, setup),
        Kind::PostgresDurable => sql::postgres(true, setup),
        Kind::MariaDb => sql::mariadb(false, setup),
        Kind::MariaDbDurable => sql::mariadb(true, setup),
        Kind::PgBouncerTransaction => sql::pgbouncer("transaction"),
        Kind::PgBouncerSession => sql::pgbouncer("session"),
    }
}

fn redis(options: &[&str], setup: &Setup) -> Result<Server, Failed> {
    let node = redis_node_with(options, setup)?;
    Ok(Server { url: format!("redis://127.0.0.1:{}", node.port), nodes: vec![node] })
}

fn redis_node(options: &[&str]) -> Result<Node, Failed> {
    redis_node_with(options, &Setup::default())
}

fn redis_node_with(options: &[&str], setup: &Setup) -> Result<Node, Failed> {
    let program = installed("redis-server")?;
    let (port, folder) = (free_port(), folder()?);
    let mut command = words(&[&program, "--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.extend(words(options));
    command.extend(lay_out(setup, &folder)?);
    Ok(Node::start(port, folder, command, "KILL", answers(b"PING\r\n", b"+PONG"))?)
}

fn redis_cluster() -> Result<Server, Failed> {
    let cli = installed("redis-cli")?;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = free_port().to_string();
        nodes.push(redis_node(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "1000",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])?);
    }
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = Command::new(&cli);
    create.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    run(&mut create)?;
    wait_for("the cluster to be whole", || {
        nodes
            .iter()
            .all(|node| talk(node.port, b"CLUSTER INFO\r\n").is_some_and(|text| text.contains("cluster_state:ok")))
    })?;
    Ok(Server { url: format!("redis+cluster://{}", addresses.join(",")), nodes })
}

fn redis_sentinel() -> Result<Server, Failed> {
    let program = installed("redis-sentinel")?;
    let master = redis_node(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let of = format!("127.0.0.1 {}", master.port);
    let replica = redis_node(&["--appendonly", "yes", "--appendfsync", "always", "--replicaof", &of])?;
    wait_for("the replica to follow", || {
        talk(replica.port, b"INFO replication\r\n").is_some_and(|text| text.contains("master_link_status:up"))
    })?;
    let (port, folder) = (free_port(), folder()?);
    let file = folder.join("sentinel.conf");
    let settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster {of} 1\n\
         sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 3000\n"
    );
    std::fs::write(&file, settings)?;
    let command = words(&[&program, &file.display().to_string()]);
    let sentinel = Node::start(port, folder, command, "KILL", answers(b"PING\r\n", b"+PONG"))?;
    wait_for("the sentinel to know the replica", || {
        talk(port, b"SENTINEL replicas mymaster\r\n").is_some_and(|text| text.contains(&replica.port.to_string()))
    })?;
    Ok(Server { url: format!("redis+sentinel://127.0.0.1:{port}/mymaster"), nodes: vec![master, replica, sentinel] })
}

fn memcached() -> Result<Server, Failed> {
    let program = installed("memcached")?;
    let (port, folder) = (free_port(), folder()?);
    let mut command = words(&[&program, "-p", &port.to_string(), "-l", "127.0.0.1", "-U", "0", "-m", "256"]);
    if is_root() {
        command.extend(words(&["-u", "root"]));
    }
    let node = Node::start(port, folder, command, "KILL", answers(b"version\r\n", b"VERSION"))?;
    Ok(Server { url: format!("memcached://127.0.0.1:{port}"), nodes: vec![node] })
}

/// Whether a server answers this line with that.
fn answers(line: &'static [u8], start: &'static [u8]) -> impl Fn(u16) -> bool {
    move |port| talk(port, line).is_some_and(|text| text.as_bytes().starts_with(start))
}

/// What a server says first to a line.
fn talk(port: u16, line: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(line).ok()?;
    let mut buffer = vec![0; 16 << 10];
    let size = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

fn wait_for(what: &str, ready: impl Fn() -> bool) -> Result<(), Failed> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failed::Start(format!("waited a minute for {what}")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Each kind is started, killed, started again and stopped, and leaves nothing behind.
    #[test]
    fn servers_start_restart_and_vanish() {
        for kind in [
            Kind::Redis,
            Kind::Memcached,
            Kind::Postgres,
            Kind::MariaDb,
            Kind::RedisCluster,
            Kind::RedisSentinel,
            Kind::PgBouncerSession,
        ] {
            let Some(server) = Server::start(kind) else { continue };
            server.node().kill();
            assert!(
                TcpStream::connect((Ipv4Addr::LOCALHOST, server.node().port)).is_err(),
                "{kind:?} listens after its end"
            );
            server.node().restart();
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, server.node().port)).is_ok(), "{kind:?} does not listen");
            let folders: Vec<PathBuf> = server.nodes().iter().map(|node| node.folder().to_owned()).collect();
            drop(server);
            assert!(!folders.iter().any(|folder| folder.exists()), "{kind:?} left {folders:?}");
        }
    }
}
