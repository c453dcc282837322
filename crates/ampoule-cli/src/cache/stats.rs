//! `ampoule cache stats`: counts the values of each namespace.

use ampoule::cache::{Backend, NamespaceUsage, StoreUsage};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::Failure;
use crate::progress::counter;
use crate::text::{bytes, clean_line, moment, print, rfc3339, width};

/// The minimum width of a table with times.
const WIDE: usize = 78;

#[derive(clap::Args)]
pub(super) struct Stats {
    /// Print JSON, one line for each store.
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(super) async fn run(&self, backends: &[Backend]) -> Result<(), Failure> {
        for backend in backends {
            let bar = counter("records read", self.json);
            let usage = backend.store_usage(|number| bar.set_position(number)).await;
            bar.finish_and_clear();
            let (usage, store) = (usage?, backend.describe());
            let text = if self.json { as_json(&store, &usage).to_string() } else { as_text(&store, &usage, width()) };
            if !print(&text)? {
                break;
            }
        }
        Ok(())
    }
}

fn as_json(store: &str, usage: &StoreUsage) -> Value {
    let namespace = |(name, found): (&String, &NamespaceUsage)| {
        json!({
            "namespace": name,
            "fresh": found.fresh,
            "stale": found.stale,
            "cleared": found.cleared,
            "bytes": found.bytes,
            "oldest": found.oldest.and_then(rfc3339),
            "newest": found.newest.and_then(rfc3339),
        })
    };
    json!({
        "store": store,
        "namespaces": usage.namespaces.iter().map(namespace).collect::<Vec<_>>(),
        "being_created": usage.leases,
        "rates": usage.rates,
        "lately_removed": usage.removed,
        "damaged": usage.damaged,
    })
}

fn as_text(store: &str, usage: &StoreUsage, width: usize) -> String {
    let mut text = format!("{store}\n");
    if usage.namespaces.is_empty() {
        text.push_str("no values");
    } else {
        text.push_str(&table(usage, width));
    }
    let others = [
        (usage.leases, "being created"),
        (usage.rates, "counted by rate limiters"),
        (usage.removed, "removed in the last five minutes"),
        (usage.damaged, "damaged, to be created anew"),
    ];
    for (number, what) in others.iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!("\n{} {what}", HumanCount(*number)));
    }
    text
}

fn table(usage: &StoreUsage, width: usize) -> String {
    let is_wide = width >= WIDE;
    let mut table = Table::new();
    let arrangement = ContentArrangement::Dynamic;
    table.load_style(presets::NOTHING).set_content_arrangement(arrangement).set_width(width as u16);
    let mut titles = vec!["namespace", "fresh", "stale", "cleared", "size"];
    titles.extend(is_wide.then_some("newest"));
    table.set_header(titles);
    for (name, found) in &usage.namespaces {
        let numbers = [found.fresh, found.stale, found.cleared].map(|number| HumanCount(number).to_string());
        let mut row = vec![clean_line(name)];
        row.extend(numbers);
        row.push(bytes(found.bytes));
        row.extend(is_wide.then(|| found.newest.map_or_else(|| "-".to_owned(), moment)));
        table.add_row(row.into_iter().map(Cell::new));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if width < 60 { 1 } else { 2 }));
        if (1..5).contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_the_terminal() {
        let mut usage = StoreUsage::default();
        for name in ["shop::articles::by_author_and_year", "pages"] {
            let found = usage.namespaces.entry(name.into()).or_default();
            (found.fresh, found.bytes) = (1_234, 56_789);
        }
        for width in [100, 80, 60, 40] {
            let text = as_text("Redis at x", &usage, width);
            assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{width}:\n{text}");
            assert!(text.contains("1,234"), "{text}");
        }
        assert_eq!(as_text("here", &StoreUsage::default(), 80), "here\nno values");
    }
}
