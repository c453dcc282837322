//! The table of stores, as Markdown.

use crate::rounds::Operation;

/// The times of one operation of one store.
pub struct Row<'a> {
    pub store: &'a str,
    pub operation: Operation,
    /// Microseconds of Ampoule, the raw driver, tower-sessions and axum_session; the peers may be missing.
    pub times: &'a [f64],
}

/// The largest acceptable time.
enum Budget {
    Microseconds(f64),
    /// As a ratio to the raw driver's time.
    RatioToRaw(f64),
}

pub fn print_head() {
    println!(
        "Microseconds of one operation. One task executes them one after the other; medians of rounds in which the subjects take turns.\n"
    );
    println!(
        "| store | operation | Ampoule | raw driver | ratio | tower-sessions | ratio | axum_session | ratio | budget |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
}

pub fn print_missing(store: &str) {
    println!("| {store} | not available | | | | | | | | |");
}

pub fn print(row: &Row<'_>) {
    let time = |index: usize| row.times.get(index).map(|time| format!("{time:.1}")).unwrap_or_default();
    let ratio =
        |index: usize| row.times.get(index).map(|time| format!("{:.2}", row.times[0] / time)).unwrap_or_default();
    let cells = [
        row.store.to_owned(),
        row.operation.name().to_owned(),
        time(0),
        time(1),
        ratio(1),
        time(2),
        ratio(2),
        time(3),
        ratio(3),
        budget_cell(row),
    ];
    println!("| {} |", cells.join(" | "));
}

fn budget(store: &str, operation: Operation) -> Option<Budget> {
    match operation {
        Operation::Load if store.starts_with("SQLite") => Some(Budget::Microseconds(4.0)),
        Operation::Load if store.starts_with("PostgreSQL") => Some(Budget::RatioToRaw(1.3)),
        _ => None,
    }
}

fn budget_cell(row: &Row<'_>) -> String {
    let (ours, raw) = (row.times[0], row.times[1]);
    let (budget, is_kept) = match budget(row.store, row.operation) {
        Some(Budget::Microseconds(max)) => (format!("{max:.1}"), ours <= max),
        Some(Budget::RatioToRaw(max)) => (format!("{max:.2} of raw"), ours <= max * raw),
        None => return String::new(),
    };
    if is_kept { budget } else { format!("{budget}: EXCEEDED") }
}
