//! Clients that keep ledgers of what was acknowledged over HTTP, while several nodes serve them on one store.
//!
//! Each client knows which writes were acknowledged and which of its sessions have ended. During the run and at its end
//! no acknowledged write is missing, and no cookie that an ended session ever had leads to a login. The requests of one
//! client go to any node, some of them at once: writes, counts, rotations, logins, logouts with writes under way, and
//! logins on another device that end the first. All nodes sweep all the time.
//!
//! The runs last a second; with `AMPOULE_SEARCH` a minute, with locks that are held for 30 s.

#[path = "../support/mod.rs"]
mod support;

mod backends;
mod client;
mod ledger;
mod locks;
#[path = "../walks/random.rs"]
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampoule_core::conformance::workload::WorkloadReport;
use backends::BackendKind;
use client::{Client, Outcome};
use support::nodes::{Cluster, Limits, Node};
use tokio::task::JoinSet;

const CLIENTS: u64 = 4;

/// The tests that are longer with `AMPOULE_SEARCH`.
fn lasting(short: Duration, long: Duration) -> Duration {
    if std::env::var_os("AMPOULE_SEARCH").is_some() { long } else { short }
}

/// Not a test, but the main function of the processes that the tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_process() {
    support::nodes::serve().await;
}

macro_rules! for_each_place {
    ($($test:ident on $($backend:ident)+;)*) => {$(
        mod $test {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[allow(non_snake_case)]
                async fn $backend() {
                    if super::BackendKind::$backend.is_available() {
                        super::$test(super::BackendKind::$backend).await;
                    }
                }
            )+
        }
    )*};
}

for_each_place! {
    p7_ledgers_agree_among_nodes on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached File Sqlite;
    p7_ledgers_agree_where_a_node_s_clock_is_minutes_off on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached File Sqlite;
    p7_ledgers_agree_where_a_node_s_clock_is_days_off on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached;
    p10_ledgers_agree_under_a_lock on Postgres PgBouncer MariaDb Redis File Sqlite;
}

fn cluster(backend: BackendKind) -> Cluster {
    let mut cluster = Cluster::new(|folder| backend.url(folder));
    // Short enough to pass during a run.
    cluster.limits.rotation_grace = Duration::from_millis(250);
    cluster
}

/// Runs all clients for this time and until `continues` is false, and returns the sum of their results.
async fn run_clients(nodes: &[Node], limits: Limits, time: Duration, continues: &Arc<AtomicBool>) -> Outcome {
    let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Client::new(number, ports.clone(), limits, Arc::clone(continues)).work(time));
    }
    let outcomes = clients.join_all().await;
    let report = WorkloadReport::sum(outcomes.iter().map(|outcome| outcome.report.clone()));
    let ended = outcomes.iter().map(|outcome| outcome.ended).sum();
    let faults = outcomes.into_iter().flat_map(|outcome| outcome.faults).collect();
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{test}: {report} ended={ended}");
    Outcome { report, ended, faults }
}

impl Outcome {
    fn assert_agrees(&self) {
        assert_eq!(self.faults, [""; 0], "{}", self.report);
    }

    fn assert_nothing_was_refused(&self) {
        self.assert_agrees();
        assert_eq!(self.report.refused, 0, "{}", self.report);
    }
}

async fn p7_ledgers_agree_among_nodes(backend: BackendKind) {
    let cluster = cluster(backend);
    let nodes = cluster.nodes(3);
    let time = lasting(Duration::from_millis(600), Duration::from_secs(60));
    run_clients(&nodes, cluster.limits, time, &Arc::default()).await.assert_nothing_was_refused();
}

/// The result with a third node whose clock is off; `None` if libfaketime is not installed.
async fn with_a_clock_off(backend: BackendKind, offset: &str) -> Option<Outcome> {
    let cluster = cluster(backend);
    let mut nodes = cluster.nodes(2);
    nodes.push(cluster.node_with_clock(offset)?);
    assert!(nodes[2].clock_off > Duration::from_secs(240), "{offset}: {:?}", nodes[2].clock_off);
    let time = lasting(Duration::from_millis(600), Duration::from_secs(30));
    Some(run_clients(&nodes, cluster.limits, time, &Arc::default()).await)
}

async fn agrees_with_clocks_off(backend: BackendKind, offsets: [&str; 2]) {
    for offset in offsets {
        if let Some(outcome) = with_a_clock_off(backend, offset).await {
            outcome.assert_nothing_was_refused();
        }
    }
}

/// Where the nodes' clocks determine expiry, an idle timeout of a day tolerates five minutes in both directions.
async fn p7_ledgers_agree_where_a_node_s_clock_is_minutes_off(backend: BackendKind) {
    agrees_with_clocks_off(backend, ["+5m", "-5m"]).await;
}

/// More than the idle timeout of a day: the server's clock determines expiry, so the nodes' clocks do not matter.
async fn p7_ledgers_agree_where_a_node_s_clock_is_days_off(backend: BackendKind) {
    agrees_with_clocks_off(backend, ["+2d", "-2d"]).await;
}

/// Without a server the nodes' clocks determine expiry: a clock that is ahead by more than the idle timeout ends all
/// sessions. The ledgers detect it, as they would any other loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledgers_detect_sessions_that_a_node_with_a_fast_clock_swept() {
    for backend in [BackendKind::File, BackendKind::Sqlite] {
        let Some(outcome) = with_a_clock_off(backend, "+2d").await else { return };
        assert!(outcome.report.lost > 0 && !outcome.faults.is_empty(), "{backend:?}: {}", outcome.report);
    }
}

/// Requests that the lock blocks wait, or fail with an error that names the lock.
async fn p10_ledgers_agree_under_a_lock(backend: BackendKind) {
    let mut cluster = cluster(backend);
    let held = lasting(Duration::from_secs(2), Duration::from_secs(30));
    cluster.limits.store_timeout = lasting(Duration::from_millis(700), Limits::default().store_timeout);
    let nodes = cluster.nodes(2);
    // Waits until the table or the folder to lock exists; creating it may take longer than a request.
    while support::nodes::ask(nodes[0].port, "POST", "/set/k/v", "").await.map(|answer| answer.0) != Some(200) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (limits, lead) = (cluster.limits, Duration::from_millis(500));
    let continues = Arc::new(AtomicBool::new(true));
    let clients = run_clients(&nodes, limits, lead, &continues);
    let locked = async {
        tokio::time::sleep(lead).await;
        locks::hold(backend, &cluster, held).await;
        tokio::time::sleep(lead).await;
        continues.store(false, Ordering::SeqCst);
    };
    let (outcome, ()) = tokio::join!(clients, locked);
    outcome.assert_agrees();
    assert!(outcome.report.refused > 0, "the lock delayed no request: {}", outcome.report);
}
