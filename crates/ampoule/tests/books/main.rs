//! Clients that keep their own books over HTTP, while several nodes serve them on one store.
//!
//! Each client knows which writes were acknowledged and which of its sessions have ended. During the run and at its end
//! no acknowledged write is missing, and no cookie that an ended session ever had leads to a login. The requests of one
//! client go to any node, some of them at once: writes, counts, rotations, logins, logouts with writes under way, and
//! logins on another device that end the first. All nodes sweep all the time.
//!
//! The runs last a second; with `AMPOULE_SEARCH` a minute, with locks that are held for 30 s.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod ledger;
mod locks;
mod places;
#[path = "../walks/random.rs"]
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ampoule_core::conformance::workload::WorkloadReport;
use client::{Client, Outcome};
use places::Place;
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

macro_rules! books {
    ($($test:ident on $($place:ident)+;)*) => {$(
        mod $test {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[allow(non_snake_case)]
                async fn $place() {
                    if super::Place::$place.is_there() {
                        super::$test(super::Place::$place).await;
                    }
                }
            )+
        }
    )*};
}

books! {
    p7_books_agree_among_nodes on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached File Sqlite;
    p7_books_agree_where_a_node_s_clock_is_minutes_off on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached File Sqlite;
    p7_books_agree_where_a_node_s_clock_is_days_off on
        Postgres PgBouncer PostgresTls MariaDb MariaDbTls Redis RedisTls Memcached;
    p10_books_agree_under_a_lock on Postgres PgBouncer MariaDb Redis File Sqlite;
}

fn cluster(place: Place) -> Cluster {
    let mut cluster = Cluster::new(|folder| place.url(folder));
    // Short enough to pass during a run.
    cluster.limits.rotation_grace = Duration::from_millis(250);
    cluster
}

/// What all clients found together, in this time, and then until it is stopped.
async fn keep_books(nodes: &[Node], limits: Limits, time: Duration, goes_on: &Arc<AtomicBool>) -> Outcome {
    let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Client::new(number, ports.clone(), limits, Arc::clone(goes_on)).work(time));
    }
    let outcomes = clients.join_all().await;
    let books = WorkloadReport::sum(outcomes.iter().map(|outcome| outcome.books.clone()));
    let ended = outcomes.iter().map(|outcome| outcome.ended).sum();
    let faults = outcomes.into_iter().flat_map(|outcome| outcome.faults).collect();
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{test}: {books} ended={ended}");
    Outcome { books, ended, faults }
}

impl Outcome {
    fn assert_agrees(&self) {
        assert_eq!(self.faults, [""; 0], "{}", self.books);
    }

    fn assert_nothing_was_refused(&self) {
        self.assert_agrees();
        assert_eq!(self.books.refused, 0, "{}", self.books);
    }
}

async fn p7_books_agree_among_nodes(place: Place) {
    let cluster = cluster(place);
    let nodes = cluster.nodes(3);
    let time = lasting(Duration::from_millis(600), Duration::from_secs(60));
    keep_books(&nodes, cluster.limits, time, &Arc::default()).await.assert_nothing_was_refused();
}

/// What is found where a third node's clock is off; `None` where there is no libfaketime.
async fn with_a_clock_off(place: Place, offset: &str) -> Option<Outcome> {
    let cluster = cluster(place);
    let mut nodes = cluster.nodes(2);
    nodes.push(cluster.node_with_clock(offset)?);
    assert!(nodes[2].clock_off > Duration::from_secs(240), "{offset}: {:?}", nodes[2].clock_off);
    let time = lasting(Duration::from_millis(600), Duration::from_secs(30));
    Some(keep_books(&nodes, cluster.limits, time, &Arc::default()).await)
}

async fn agrees_with_clocks_off(place: Place, offsets: [&str; 2]) {
    for offset in offsets {
        if let Some(outcome) = with_a_clock_off(place, offset).await {
            outcome.assert_nothing_was_refused();
        }
    }
}

/// Ahead or behind; where the nodes' clocks tell what has expired, an idle time of a day bears that.
async fn p7_books_agree_where_a_node_s_clock_is_minutes_off(place: Place) {
    agrees_with_clocks_off(place, ["+5m", "-5m"]).await;
}

/// By more than the idle time of a day, which the clock of a server bears.
async fn p7_books_agree_where_a_node_s_clock_is_days_off(place: Place) {
    agrees_with_clocks_off(place, ["+2d", "-2d"]).await;
}

/// Without a server the nodes' clocks determine expiry: a clock that is ahead by more than the idle timeout ends all
/// sessions. The books detect it, as they would any other loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_detect_sessions_that_a_node_with_a_fast_clock_swept() {
    for place in [Place::File, Place::Sqlite] {
        let Some(outcome) = with_a_clock_off(place, "+2d").await else { return };
        assert!(outcome.books.lost > 0 && !outcome.faults.is_empty(), "{place:?}: {}", outcome.books);
    }
}

/// Requests that the lock blocks wait, or fail with an error that names it.
async fn p10_books_agree_under_a_lock(place: Place) {
    let mut cluster = cluster(place);
    let held = lasting(Duration::from_secs(2), Duration::from_secs(30));
    cluster.limits.store_timeout = lasting(Duration::from_millis(700), Limits::default().store_timeout);
    let nodes = cluster.nodes(2);
    // There is a table or a folder to lock, which may take longer than a request.
    while support::nodes::ask(nodes[0].port, "POST", "/set/k/v", "").await.map(|answer| answer.0) != Some(200) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (limits, lead) = (cluster.limits, Duration::from_millis(500));
    let goes_on = Arc::new(AtomicBool::new(true));
    let clients = keep_books(&nodes, limits, lead, &goes_on);
    let locked = async {
        tokio::time::sleep(lead).await;
        locks::hold(place, &cluster, held).await;
        tokio::time::sleep(lead).await;
        goes_on.store(false, Ordering::SeqCst);
    };
    let (outcome, ()) = tokio::join!(clients, locked);
    outcome.assert_agrees();
    assert!(outcome.books.refused > 0, "the lock was in the way of no request: {}", outcome.books);
}
