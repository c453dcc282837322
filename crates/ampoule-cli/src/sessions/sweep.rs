//! `ampoule sessions sweep`: frees what has expired, until nothing waits.

use std::time::Instant;

use ampoule::store::Store;

use super::source::expires_by_itself;
use crate::Failure;
use crate::progress::counter;
use crate::text::{count, say};

/// How many records are looked at in one go.
const BUDGET: usize = 1_000;

pub(super) async fn run(store: &dyn Store) -> Result<(), Failure> {
    if expires_by_itself(store) {
        let message = "frees what has expired by itself; there is nothing to sweep";
        return say(&format!("{} {message}", store.describe())).map(drop);
    }
    let started = Instant::now();
    let bar = counter("expired sessions swept", false);
    let mut removed = 0;
    loop {
        let swept = match store.sweep(BUDGET).await {
            Ok(swept) => swept,
            Err(error) => {
                return Err(Failure(format!("after {} swept: {}", count(removed, "session"), error.report())));
            }
        };
        removed += swept.removed;
        bar.set_position(removed);
        if !swept.more {
            break;
        }
    }
    bar.finish_and_clear();
    let took = started.elapsed().as_secs_f64();
    say(&format!("{} swept in {took:.1} s", count(removed, "expired session"))).map(drop)
}
