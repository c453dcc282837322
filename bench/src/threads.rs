//! Concurrency: two threads compared with one, and concurrent writers of one session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ampoule::store::{Entry, Page, PutMode, PutResult, Reply, StoreKey, Stored, SweepReport, Tag, Version};
use ampoule::{MemoryStore, SessionLayer, Store, Time};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::scenario::Scenario;
use crate::sites::{Site, Subject, ours};

const DURATION: Duration = Duration::from_secs(2);

pub fn print() {
    println!("| requests per second | one thread | two threads | ratio |");
    println!("|---|---|---|---|");
    for name in ["read one of five keys", "read and write one of five keys", "new session"] {
        let [one, two] = [1, 2].map(|threads| requests(name, threads));
        println!("| {name} | {one:.0} | {two:.0} | {:.2} |", two / one);
    }
    println!();
    println!(
        "| writers of one session | commits per second | recomputations per commit | store conflicts per commit | lost updates | fewest and most commits of a writer |"
    );
    println!("|---|---|---|---|---|---|");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    for (processes, writers) in [(1, 1), (1, 8), (1, 64), (2, 8), (2, 64)] {
        runtime.block_on(contended(processes, writers));
    }
}

/// Measures the requests per second of threads that share a site, each with its own session.
fn requests(name: &str, threads: u32) -> f64 {
    let scenario = Scenario::named(name).expect("it is known");
    let (done, start) = (AtomicU64::new(0), std::sync::Barrier::new(threads as usize));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let router = ours::site(ours::layer());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let cookie = runtime.block_on(scenario.cookie(Subject::Ours, &mut Site::axum(router.clone())));
            let (done, start, router) = (&done, &start, router.clone());
            scope.spawn(move || {
                let mut prepared = scenario.prepare_on(router, &cookie);
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                start.wait();
                let (started, mut count) = (Instant::now(), 0);
                runtime.block_on(async {
                    while started.elapsed() < DURATION {
                        for _ in 0..100 {
                            prepared.send().await;
                        }
                        count += 100;
                    }
                });
                done.fetch_add(count, Ordering::Relaxed);
            });
        }
    });
    done.into_inner() as f64 / DURATION.as_secs_f64()
}

/// Prints the row of concurrent writers that increment one counter. Each session layer stands in for one process.
async fn contended(processes: usize, writers: usize) {
    let store = Arc::new(ConflictCounter { inner: ours::store(), conflicts: AtomicU64::new(0) });
    let layers: Vec<SessionLayer> = (0..processes).map(|_| ours::over(store.clone())).collect();
    let headers = Arc::new(new_session(&layers[0]).await);
    let computed = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    for writer in 0..writers {
        let (layer, headers, computed) = (layers[writer % processes].clone(), headers.clone(), computed.clone());
        tasks.spawn(async move {
            let mut commits = 0_u64;
            while started.elapsed() < DURATION {
                let (session, computed) = (layer.begin(&headers), computed.clone());
                let count = move |count: &mut u64| {
                    computed.fetch_add(1, Ordering::Relaxed);
                    *count += 1;
                };
                session.update("count", count).await.expect("it loads");
                session.save().await.expect("it is saved");
                commits += 1;
                tokio::task::yield_now().await;
            }
            commits
        });
    }
    let commits_of_each = tasks.join_all().await;
    let commits: u64 = commits_of_each.iter().sum();
    let session = layers[0].begin(&headers);
    let counted = session.get::<u64>("count").await.expect("it loads").unwrap_or(0);
    let recomputed = computed.load(Ordering::Relaxed).saturating_sub(commits) as f64 / commits as f64;
    let conflicts = store.conflicts.load(Ordering::Relaxed) as f64 / commits as f64;
    let fewest = commits_of_each.iter().min().expect("a writer");
    let most = commits_of_each.iter().max().expect("a writer");
    let label = if processes == 1 { format!("{writers}") } else { format!("{writers}, in {processes} processes") };
    println!(
        "| {label} | {:.0} | {recomputed:.2} | {conflicts:.3} | {} | {fewest}, {most} |",
        commits as f64 / DURATION.as_secs_f64(),
        commits - counted
    );
}

/// Creates a session, and returns the request headers of its client.
async fn new_session(layer: &SessionLayer) -> HeaderMap {
    let session = layer.begin(&HeaderMap::new());
    session.insert("count", &0_u64).expect("it is a number");
    session.save().await.expect("it is saved");
    let mut response = HeaderMap::new();
    layer.finish(&session, StatusCode::OK, &mut response).await.expect("it ends");
    let cookie = response["set-cookie"].to_str().expect("it is ASCII").split(';').next().expect("a pair").to_owned();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::try_from(cookie).expect("it came from a header"));
    headers
}

/// A store that counts the conflicts of writes.
struct ConflictCounter {
    inner: MemoryStore,
    conflicts: AtomicU64,
}

impl Store for ConflictCounter {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.inner.get(key)
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async move {
            // Lets other tasks run between a load and a save, as they do while a real store works.
            tokio::task::yield_now().await;
            let result = self.inner.put(key, entry, mode).await?;
            self.conflicts.fetch_add(u64::from(result == PutResult::Conflict), Ordering::Relaxed);
            Ok(result)
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.inner.touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.inner.delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.inner.keys_with_tag(tag)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.inner.scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.inner.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.inner.ping()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
