//! The kinds of servers, and how each is started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::node::{Node, free_port};
use crate::server::Server;
use crate::sql;
use crate::tools::{Setup, StartError, create_folder, find_program, is_root, run, to_strings, write_files};

/// The servers that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A Redis that writes nothing to disk.
    Redis,
    /// A Redis that syncs each write before it answers (`appendonly yes`, `appendfsync always`).
    RedisDurable,
    /// A Redis Cluster of three masters.
    RedisCluster,
    /// A Redis master named `mymaster`, its replica, and a Sentinel.
    RedisSentinel,
    /// A memcached.
    Memcached,
    /// A PostgreSQL that syncs nothing, for speed.
    Postgres,
    /// A PostgreSQL with its default settings, which survives a crash.
    PostgresDurable,
    /// A MariaDB that syncs nothing, for speed.
    MariaDb,
    /// A MariaDB with its default settings, which survives a crash.
    MariaDbDurable,
    /// A PgBouncer in transaction mode, which runs each transaction on any connection, and its PostgreSQL.
    PgBouncerTransaction,
    /// A PgBouncer in session mode, which gives each client its own connection, and its PostgreSQL.
    PgBouncerSession,
}

impl Kind {
    /// Returns the package of Debian that contains it.
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

pub(crate) fn start(kind: Kind, setup: &Setup) -> Result<Server, StartError> {
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

fn redis(options: &[&str], setup: &Setup) -> Result<Server, StartError> {
    let node = redis_node_with(options, setup)?;
    Ok(Server { url: format!("redis://127.0.0.1:{}", node.port), nodes: vec![node] })
}

fn redis_node(options: &[&str]) -> Result<Node, StartError> {
    redis_node_with(options, &Setup::default())
}

fn redis_node_with(options: &[&str], setup: &Setup) -> Result<Node, StartError> {
    let program = find_program("redis-server")?;
    let (port, folder) = (free_port(), create_folder()?);
    let mut command = to_strings(&[&program, "--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.extend(to_strings(options));
    command.extend(write_files(setup, &folder)?);
    Ok(Node::start(port, folder, command, "KILL", responds(b"PING\r\n", b"+PONG"))?)
}

fn redis_cluster() -> Result<Server, StartError> {
    let cli = find_program("redis-cli")?;
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
    wait_for("the cluster to be complete", || {
        nodes
            .iter()
            .all(|node| talk(node.port, b"CLUSTER INFO\r\n").is_some_and(|text| text.contains("cluster_state:ok")))
    })?;
    Ok(Server { url: format!("redis+cluster://{}", addresses.join(",")), nodes })
}

fn redis_sentinel() -> Result<Server, StartError> {
    let program = find_program("redis-sentinel")?;
    let master = redis_node(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let master_address = format!("127.0.0.1 {}", master.port);
    let replica = redis_node(&["--appendonly", "yes", "--appendfsync", "always", "--replicaof", &master_address])?;
    wait_for("the replica to be connected", || {
        talk(replica.port, b"INFO replication\r\n").is_some_and(|text| text.contains("master_link_status:up"))
    })?;
    let (port, folder) = (free_port(), create_folder()?);
    let file = folder.join("sentinel.conf");
    let settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster {master_address} 1\n\
         sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 3000\n"
    );
    std::fs::write(&file, settings)?;
    let command = to_strings(&[&program, &file.display().to_string()]);
    let sentinel = Node::start(port, folder, command, "KILL", responds(b"PING\r\n", b"+PONG"))?;
    wait_for("the sentinel to know the replica", || {
        talk(port, b"SENTINEL replicas mymaster\r\n").is_some_and(|text| text.contains(&replica.port.to_string()))
    })?;
    Ok(Server { url: format!("redis+sentinel://127.0.0.1:{port}/mymaster"), nodes: vec![master, replica, sentinel] })
}

fn memcached() -> Result<Server, StartError> {
    let program = find_program("memcached")?;
    let (port, folder) = (free_port(), create_folder()?);
    let mut command = to_strings(&[&program, "-p", &port.to_string(), "-l", "127.0.0.1", "-U", "0", "-m", "256"]);
    if is_root() {
        command.extend(to_strings(&["-u", "root"]));
    }
    let node = Node::start(port, folder, command, "KILL", responds(b"version\r\n", b"VERSION"))?;
    Ok(Server { url: format!("memcached://127.0.0.1:{port}"), nodes: vec![node] })
}

/// Returns a check that a server responds to this line with a text that starts with `start`.
fn responds(line: &'static [u8], start: &'static [u8]) -> impl Fn(u16) -> bool {
    move |port| talk(port, line).is_some_and(|text| text.as_bytes().starts_with(start))
}

/// Sends a line to a server, and returns the beginning of its response.
fn talk(port: u16, line: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(line).ok()?;
    let mut buffer = vec![0; 16 << 10];
    let size = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

fn wait_for(what: &str, ready: impl Fn() -> bool) -> Result<(), StartError> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(StartError::Failed(format!("timed out after a minute of waiting for {what}")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Each kind is started, killed, started again and stopped, and must leave no folder.
    #[test]
    fn servers_start_restart_and_leave_no_folder() {
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
                "{kind:?} listens after it was killed"
            );
            server.node().restart();
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, server.node().port)).is_ok(), "{kind:?} does not listen");
            let folders: Vec<PathBuf> = server.nodes().iter().map(|node| node.folder().to_owned()).collect();
            drop(server);
            assert!(!folders.iter().any(|folder| folder.exists()), "{kind:?} left {folders:?}");
        }
    }
}
