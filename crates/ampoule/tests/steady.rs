//! Promise P9 over many requests: open handles, connections of the server and memory do not grow.
//!
//! 3,000 requests on each store; `AMPOULE_SEARCH=N` multiplies this, so 334 makes a million.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ampoule::SessionLayer;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use support::nodes::{Cluster, Limits, layer};
use support::{BackendKind, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower::ServiceExt;

const WORKERS: usize = 8;
/// Requests from a login to its logout.
const ROUND: usize = 20;

on_backends! {
    p9_handles_connections_and_memory_do_not_grow on Memory File Sqlite Postgres Redis;
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    handles: usize,
    /// Of the server, or 0 where there is none.
    connections: usize,
    memory_kb: usize,
}

impl Sample {
    async fn take(backend: BackendKind, url: &str) -> Sample {
        let handles = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let memory_kb = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        let connections = match backend {
            BackendKind::Postgres => backends(url).await,
            BackendKind::Redis => clients(url).await,
            _ => 0,
        };
        Sample { handles, connections, memory_kb }
    }
}

/// The number of backends of this database, except the one that answers this query.
async fn backends(url: &str) -> usize {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'ampoule' AND pid <> pg_backend_pid()";
    let count: i64 = client.query_one(query, &[]).await.unwrap().get(0);
    drop(client);
    let _ = connection.await;
    usize::try_from(count).unwrap()
}

/// The number of clients of a Redis, except the one that counts.
async fn clients(url: &str) -> usize {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).await.unwrap();
    stream.write_all(b"INFO clients\r\nQUIT\r\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("connected_clients:")).unwrap();
    line.parse::<usize>().unwrap() - 1
}

/// Logs in, reads, writes and counts, and logs out, until the requests have been made.
async fn work(app: Router, made: Arc<AtomicUsize>, requests: usize) {
    let mut cookie = String::new();
    for n in 0.. {
        if made.fetch_add(1, Ordering::Relaxed) >= requests {
            return;
        }
        let (method, path) = match n % ROUND {
            0 => ("POST", "/login/ada".to_owned()),
            step if step == ROUND - 1 => ("POST", "/logout".to_owned()),
            step if step % 4 == 1 => ("POST", format!("/set/k{}/{n}", step % 3)),
            step if step % 4 == 2 => ("POST", "/count/n".to_owned()),
            _ => ("GET", "/get/user".to_owned()),
        };
        let request =
            Request::builder().method(method).uri(format!("http://site.test{path}")).header("cookie", &cookie);
        let answer = answer(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        // The store in memory never waits, and the sweep is to have its turn.
        tokio::task::yield_now().await;
        if let Some(set) = answer.set_cookies().pop() {
            cookie = set.split(';').next().unwrap().to_owned();
        }
    }
}

fn swept(layer: &SessionLayer, stop: Arc<AtomicBool>) -> impl Future<Output = ()> + Send + 'static {
    let layer = layer.clone();
    async move {
        while !stop.load(Ordering::Relaxed) {
            layer.sweep(1_000).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A sample for each tenth of the requests.
async fn samples(backend: BackendKind, requests: usize) -> Vec<Sample> {
    let cluster = Cluster::new(|folder| backend.url(folder));
    // Ended sessions leave tombstones for so long, which are to be as many at a fifth of the run as at its end.
    let limits = Limits { rotation_grace: Duration::from_millis(50), ..Limits::default() };
    let layer = layer(&cluster.url, &cluster.name, limits);
    let app = support::site::routes().layer(layer.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let sweeping = tokio::spawn(swept(&layer, stop.clone()));
    let (mut samples, started) = (Vec::new(), Instant::now());
    for tenth in 1..=10 {
        let (mut workers, made) = (JoinSet::new(), Arc::default());
        for _ in 0..WORKERS {
            workers.spawn(work(app.clone(), Arc::clone(&made), requests / 10));
        }
        workers.join_all().await;
        samples.push(Sample::take(backend, &cluster.url).await);
        println!("{backend:?}: {} requests: {:?}", tenth * requests / 10, samples[tenth - 1]);
    }
    stop.store(true, Ordering::Relaxed);
    sweeping.await.unwrap();
    println!("{backend:?}: {requests} requests in {:.0?}", started.elapsed());
    samples
}

async fn p9_handles_connections_and_memory_do_not_grow(backend: BackendKind) {
    // One after another, since the handles and the memory are those of the process.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let times: usize = std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    // On a machine that is busy with other work tokio starts threads for blocking work by the hundred, and the
    // allocator keeps memory for each.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(16).enable_all().build().unwrap();
    let samples = tokio::task::block_in_place(|| runtime.block_on(samples(backend, 3_000 * times)));
    runtime.shutdown_background();
    let (early, last) = (samples[1], samples[9]);
    // The counts may differ by a connection that is open at the moment, and by the sweep's.
    assert!(last.handles <= early.handles + 4, "{early:?}, then {last:?}");
    assert!(last.connections <= early.connections + 1, "{early:?}, then {last:?}");
    assert!(last.memory_kb <= early.memory_kb + 8_192, "{early:?}, then {last:?}");
}
