//! `ampoule sessions sweep`: removes all expired records.

use std::time::Instant;

use ampoule::store::Store;
use serde_json::json;

use super::source::expires_by_itself;
use crate::Failure;
use crate::progress::counter;
use crate::text::{count, print};

/// The number of records that one call of `Store::sweep` may visit.
const BUDGET: usize = 1_000;

#[derive(clap::Args)]
pub(super) struct Sweep {
    /// Print the result as JSON, on one line: {"store": …, "removed": N, "seconds": …}.
    #[arg(long)]
    json: bool,
}

impl Sweep {
    pub(super) async fn run(&self, store: &dyn Store) -> Result<(), Failure> {
        if expires_by_itself(store) && !self.json {
            let message = "removes expired records itself; there is nothing to sweep";
            return print(&format!("{} {message}", store.describe())).map(drop);
        }
        let started = Instant::now();
        let removed = if expires_by_itself(store) { 0 } else { sweep(store, self.json).await? };
        let took = started.elapsed().as_secs_f64();
        let text = match self.json {
            true => json!({ "store": store.describe(), "removed": removed, "seconds": took }).to_string(),
            false => format!("{} swept in {took:.1} s", records(removed)),
        };
        print(&text).map(drop)
    }
}

/// "Records" rather than sessions: a sweep cannot distinguish a session from the mark of an ended one, or from a cached
/// value.
fn records(number: u64) -> String {
    count(number, "expired record")
}

async fn sweep(store: &dyn Store, json: bool) -> Result<u64, Failure> {
    let bar = counter("expired records swept", json);
    let mut removed = 0;
    loop {
        let swept = store.sweep(BUDGET).await;
        let swept = swept.map_err(|error| Failure(format!("after {}: {}", records(removed), error.report())))?;
        removed += swept.removed;
        bar.set_position(removed);
        if !swept.more {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(removed)
}
