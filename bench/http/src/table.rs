//! The table of results.

use std::collections::BTreeSet;

use crate::commands::Counts;
use crate::measure::Sample;
use crate::subject::{Scenario, Subject};

/// The table omits commands with fewer calls per request.
const MIN_CALLS_PER_REQUEST: f64 = 0.05;

/// All runs of one subject in one scenario.
pub struct Row {
    pub subject: Subject,
    pub scenario: Scenario,
    pub samples: Vec<Sample>,
    pub run_by_scripts: BTreeSet<String>,
}

impl Row {
    fn per_second(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.per_second))
    }

    fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu as f64 / sample.requests as f64))
    }

    fn requests(&self) -> u64 {
        self.samples.iter().map(|sample| sample.requests).sum()
    }

    /// Lists the commands that clients send, and in brackets those that scripts run.
    fn commands(&self) -> String {
        let mut all = Counts::new();
        for (name, count) in self.samples.iter().flat_map(|sample| &sample.commands) {
            *all.entry(name.clone()).or_default() += count;
        }
        let rates = all.into_iter().map(|(name, count)| (name, count as f64 / self.requests() as f64));
        let (inner, sent): (Vec<_>, Vec<_>) = rates
            .filter(|(_, rate)| *rate >= MIN_CALLS_PER_REQUEST)
            .map(|(name, rate)| (format!("{name} {rate:.2}"), self.run_by_scripts.contains(&name)))
            .partition(|(_, by_script)| *by_script);
        let list = |rates: Vec<(String, bool)>| rates.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(", ");
        match (sent.is_empty(), inner.is_empty()) {
            (true, _) => "none".to_owned(),
            (_, true) => list(sent),
            _ => format!("{} [{}]", list(sent), list(inner)),
        }
    }

    /// Returns the share of the updates that the sessions contain at the end; `None` if the scenario has no counter.
    /// wrk does not count the requests in progress at its end, but they may increment the counter, so the share is
    /// limited to 1.
    pub fn kept(&self) -> Option<f64> {
        let counted: Option<u64> = self.samples.iter().map(|sample| sample.counted).sum();
        counted.map(|counted| (counted as f64 / self.requests() as f64).min(1.0))
    }
}

pub fn print(rows: &[Row]) {
    println!(
        "| scenario | subject | requests/s | ratio to handwritten | CPU per request | commands per request | updates kept |"
    );
    println!("|---|---|--:|--:|--:|---|--:|");
    for scenario in Scenario::ALL {
        let of_scenario = || rows.iter().filter(move |row| row.scenario == scenario);
        let handwritten =
            of_scenario().find(|row| row.subject == Subject::Handwritten).map_or(f64::NAN, Row::per_second);
        for row in of_scenario() {
            println!(
                "| {} | {} | {:.0} | {:.2} | {:.1} µs | {} | {} |",
                scenario.label(),
                row.subject.label(),
                row.per_second(),
                row.per_second() / handwritten,
                row.cpu(),
                row.commands(),
                row.kept().map(|kept| format!("{:.1} %", kept * 100.0)).unwrap_or_default(),
            );
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
