//! The table of stores, as Markdown.

use crate::rounds::Operation;

/// The times of one operation of one store.
pub struct Line<'a> {
    pub store: &'a str,
    pub operation: Operation,
    /// Microseconds: ours, the raw driver's, and the peers' that there are.
    pub times: &'a [f64],
}

/// Our budget.
enum Budget {
    Microseconds(f64),
    OfRaw(f64),
}

pub fn head() {
    println!("Microseconds of one operation, one after the other from one task: medians of rounds taken in turns.\n");
    println!(
        "| store | operation | ours | raw driver | ours / raw | tower-sessions | ours / it | axum_session | ours / it | at most |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
}

pub fn missing(store: &str) {
    println!("| {store} | not there | | | | | | | | |");
}

pub fn print(line: &Line<'_>) {
    let time = |place: usize| line.times.get(place).map(|time| format!("{time:.1}")).unwrap_or_default();
    let ratio =
        |place: usize| line.times.get(place).map(|time| format!("{:.2}", line.times[0] / time)).unwrap_or_default();
    let cells = [
        line.store.to_owned(),
        line.operation.name().to_owned(),
        time(0),
        time(1),
        ratio(1),
        time(2),
        ratio(2),
        time(3),
        ratio(3),
        verdict(line),
    ];
    println!("| {} |", cells.join(" | "));
}

fn budget(store: &str, operation: Operation) -> Option<Budget> {
    match operation {
        Operation::Load if store.starts_with("SQLite") => Some(Budget::Microseconds(4.0)),
        Operation::Load if store.starts_with("PostgreSQL") => Some(Budget::OfRaw(1.3)),
        _ => None,
    }
}

fn verdict(line: &Line<'_>) -> String {
    let (ours, raw) = (line.times[0], line.times[1]);
    let (most, kept) = match budget(line.store, line.operation) {
        Some(Budget::Microseconds(most)) => (format!("{most:.1}"), ours <= most),
        Some(Budget::OfRaw(most)) => (format!("{most:.2} of raw"), ours <= most * raw),
        None => return String::new(),
    };
    if kept { most } else { format!("{most}: MISSED") }
}
