//! A client that records every write that a store acknowledges, and compares it with what the store returns.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{HOUR, fresh_key};
use crate::error::Error;
use crate::key::StoreKey;
use crate::store::{Entry, PutMode, PutResult, Store, Version};

/// The result of a workload. A store that is down may refuse operations; it must not lose acknowledged writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadReport {
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Acknowledged writes whose value was not found afterwards, or whose version was refused.
    pub lost: u64,
    /// Keys that were found after their removal was acknowledged.
    pub revived: u64,
    /// Operations that ended in an error.
    pub refused: u64,
    /// The message of the last of these errors.
    pub last_error: String,
}

impl fmt::Display for WorkloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkloadReport { acknowledged, lost, revived, refused, last_error } = self;
        write!(f, "acknowledged={acknowledged} lost={lost} revived={revived} refused={refused} {last_error}")
    }
}

impl WorkloadReport {
    /// Parses the output of [`Display`](fmt::Display), for clients in other processes.
    pub fn parse(line: &str) -> Option<WorkloadReport> {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let number =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        Some(WorkloadReport {
            acknowledged: number("acknowledged")?,
            lost: number("lost")?,
            revived: number("revived")?,
            refused: number("refused")?,
            last_error: (*words.get(4)?).to_owned(),
        })
    }

    /// Returns the sum of the reports of several clients.
    pub fn sum(all: impl IntoIterator<Item = WorkloadReport>) -> WorkloadReport {
        all.into_iter().fold(WorkloadReport::default(), |sum, report| WorkloadReport {
            acknowledged: sum.acknowledged + report.acknowledged,
            lost: sum.lost + report.lost,
            revived: sum.revived + report.revived,
            refused: sum.refused + report.refused,
            last_error: if report.last_error.is_empty() { sum.last_error } else { report.last_error },
        })
    }
}

/// A key of the workload, with the value that the store must return.
struct TrackedKey {
    key: StoreKey,
    /// The last acknowledged value; `None` if the key must be absent.
    expected: Option<(Bytes, Version)>,
}

/// Reads and writes keys of its own for this `time`, in an order that depends on the seed. Compares every answer with
/// the acknowledged writes, and reads all keys again at the end. A key is dropped from the comparison when an operation
/// on it returns an error, since a write may still be done later.
pub async fn run_workload<S: Store + ?Sized>(store: &S, seed: u64, time: Duration) -> WorkloadReport {
    let (mut report, mut random, started) = (WorkloadReport::default(), Random(seed | 1), Instant::now());
    let mut keys: Vec<TrackedKey> = Vec::new();
    while started.elapsed() < time {
        if keys.len() < 32 {
            keys.push(TrackedKey { key: fresh_key(), expected: None });
        }
        let index = random.below(keys.len());
        let value = Bytes::from(random.next().to_string());
        match keys[index].operate(store, random.below(5), value, &mut report).await {
            Ok(()) => {}
            Err(error) => {
                report.refused += 1;
                report.last_error = error.report();
                keys.swap_remove(index);
            }
        }
    }
    let mut seen = HashSet::new();
    for tracked in &mut keys {
        assert!(seen.insert(tracked.key), "a key was made twice");
        for _ in 0..100 {
            match tracked.verify(store, &mut report).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    report
}

impl TrackedKey {
    async fn operate<S: Store + ?Sized>(
        &mut self,
        store: &S,
        what: usize,
        value: Bytes,
        report: &mut WorkloadReport,
    ) -> Result<(), Error> {
        let entry = Entry { value: value.clone(), lifetime: HOUR, tag: None };
        let version = self.expected.as_ref().map(|(_, version)| *version);
        match (what, version) {
            (0, _) => return self.verify(store, report).await,
            (1, Some(_)) => {
                if !store.delete(self.key).await? {
                    report.lost += 1;
                }
                self.expected = None;
            }
            (2, Some(version)) => {
                if !store.touch(self.key, version, 2 * HOUR).await? {
                    report.lost += 1;
                }
            }
            (_, version) => {
                let mode = version.map_or(PutMode::Create, PutMode::Replace);
                match (store.put(self.key, entry, mode).await?, version) {
                    (PutResult::Stored(version), _) => self.expected = Some((value, version)),
                    (PutResult::Conflict, Some(_)) => report.lost += 1,
                    (PutResult::Conflict, None) => report.revived += 1,
                }
            }
        }
        report.acknowledged += 1;
        Ok(())
    }

    async fn verify<S: Store + ?Sized>(&mut self, store: &S, report: &mut WorkloadReport) -> Result<(), Error> {
        let found = store.get(self.key).await?.map(|stored| (stored.value, stored.version));
        match (&self.expected, &found) {
            (None, Some(_)) => report.revived += 1,
            (expected, found) if expected != found => report.lost += 1,
            _ => {}
        }
        self.expected = found;
        Ok(())
    }
}

/// A xorshift generator: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}
