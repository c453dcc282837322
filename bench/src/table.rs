//! The tables of requests in one process: the overhead of Ampoule and of the peers over their routes without sessions.

use tokio::runtime::Runtime;

use crate::measure::{self, Cost};
use crate::plot;
use crate::scenario::{IN_COOKIE, IN_MEMORY, Scenario};
use crate::sites::Subject;
use crate::turns;

/// The overheads in one scenario: of a minimal layer, of Ampoule, and of each peer.
struct Row {
    scenario: Scenario,
    minimal: Cost,
    ours: Cost,
    peers: Vec<(Subject, Cost)>,
}

/// Prints the table of sessions in memory. Draws the ratios into the file, if one is named.
pub fn in_memory(runtime: &Runtime, with_instructions: bool, svg: Option<&str>) {
    head("sessions in memory: overhead over the bare routes", Subject::PEERS);
    let rows: Vec<Row> =
        IN_MEMORY.iter().map(|scenario| row(runtime, scenario, Subject::PEERS, with_instructions)).collect();
    if let Some(path) = svg {
        let bars = |row: &Row| {
            let ratio = |(subject, cost): &(Subject, Cost)| (subject.name(), row.ours.nanoseconds / cost.nanoseconds);
            (row.scenario.name, row.scenario.budget, row.peers.iter().map(ratio).collect())
        };
        plot::write(
            path,
            &plot::ratios(
                "Overhead of a request, as a share of the peer's",
                &rows.iter().map(bars).collect::<Vec<_>>(),
            ),
        );
    }
}

/// Prints the tables of sessions in encrypted cookies, and of the cipher and base64 alone.
pub fn in_cookie(runtime: &Runtime) {
    head("sessions in encrypted cookies: overhead over the bare routes", Subject::PEERS_IN_COOKIE);
    for scenario in &IN_COOKIE {
        row(runtime, scenario, Subject::PEERS_IN_COOKIE, false);
    }
    println!();
    alone::print();
}

fn head(what: &str, peers: &[Subject]) {
    let columns: String = peers.iter().map(|subject| format!(" {} | ratio |", subject.name())).collect();
    println!("| {what} | a minimal layer | Ampoule | budget |{columns}");
    println!("|---|---|---|---|{}", "---|---|".repeat(peers.len()));
}

fn row(runtime: &Runtime, scenario: &Scenario, peers: &[Subject], with_instructions: bool) -> Row {
    let mut subjects = vec![Subject::Bare, Subject::MinimalLayer, scenario.subject];
    subjects.extend(peers);
    subjects.extend(peers.iter().map(|subject| subject.bare()).filter(|bare| *bare != Subject::Bare).take(1));
    let times = turns::times(scenario, &subjects);
    let costs: Vec<(Subject, Cost)> = subjects
        .iter()
        .zip(times)
        .map(|(subject, nanoseconds)| {
            let allocations = measure::allocations(runtime, scenario, *subject);
            let instructions = if with_instructions { measure::instructions(scenario, *subject) } else { 0 };
            (*subject, Cost { nanoseconds, allocations, instructions })
        })
        .collect();
    let of = |wanted: Subject| costs.iter().find(|(subject, _)| *subject == wanted).expect("it was measured").1;
    let over = |subject: Subject| of(subject).over(of(subject.bare()));
    let row = Row {
        scenario: *scenario,
        minimal: over(Subject::MinimalLayer),
        ours: over(scenario.subject),
        peers: peers.iter().map(|subject| (*subject, over(*subject))).collect(),
    };
    print(&row);
    row
}

fn print(row: &Row) {
    let budget = match row.scenario.budget {
        0.0 => String::new(),
        budget => format!("{budget:.2}"),
    };
    let ratio = |cost: &Cost| row.ours.nanoseconds / cost.nanoseconds;
    let peers: String = row.peers.iter().map(|(_, cost)| format!(" {} | {:.2} |", show(*cost), ratio(cost))).collect();
    println!("| {} | {} | {} | {budget} |{peers}", row.scenario.name, show(row.minimal), show(row.ours));
}

fn show(cost: Cost) -> String {
    let Cost { nanoseconds, allocations, instructions } = cost;
    let counted = if instructions > 0 { format!(", {instructions} instructions") } else { String::new() };
    format!("{nanoseconds:.0} ns, {allocations} allocations{counted}")
}

/// The times of the cipher and base64 for the same number of bytes, without a request.
mod alone {
    use std::hint::black_box;

    use ampoule_seal::{KeyRing, Secret};

    use crate::measure::time;

    pub fn print() {
        let secret = Secret::new("8IWvLV-gUbTWRoTt7f38wBohu5IjFbSPPi28PU_E4gw").expect("a good secret");
        let sealer = KeyRing::new(vec![secret]).expect("a secret").sealer("benchmark");
        println!("| AES-256-GCM-SIV and base64 alone | decrypt | decrypt and encrypt |");
        println!("|---|---|---|");
        for (name, bytes) in [("100 B", 100), ("1 KB", 1_060), ("3.5 KB", 3_560)] {
            let content = vec![7; bytes];
            let text = sealer.seal_text(&content, b"sid");
            let open = time(|| sealer.open_text(black_box(text.as_bytes()), b"sid"));
            let both = open + time(|| sealer.seal_text(black_box(&content), b"sid"));
            println!("| {name} | {open:.0} ns | {both:.0} ns |");
        }
    }
}
