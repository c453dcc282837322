//! A table of sessions that fits the terminal: first ids are shortened, then moments take two lines, then columns go.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::{measure_text_width, truncate_str};

use super::row::Row;

/// Between two columns.
const GAP: usize = 2;

/// Enough of an id to name it by, with its …
const SHORT_ID: usize = 12;

const SHORT_PRINCIPAL: usize = 12;
const MOMENT: usize = 20;
const MOMENT_ON_TWO_LINES: usize = 10;

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Id,
    Principal,
    Made,
    Used,
    Ends,
    Size,
    Values,
}

const ALL: [Column; 7] =
    [Column::Id, Column::Principal, Column::Made, Column::Used, Column::Ends, Column::Size, Column::Values];

/// What can be missed, the first first.
const EXPENDABLE: [Column; 4] = [Column::Made, Column::Size, Column::Values, Column::Used];

/// The table, and a line on what had no room.
pub(super) fn render(rows: &[Row], width: usize) -> String {
    let layout = Layout::fitting(rows, width);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(layout.columns.iter().map(|column| Cell::new(column.title())));
    for row in rows {
        table.add_row(layout.columns.iter().map(|column| layout.cell(*column, row)));
    }
    for (column, kind) in table.column_iter_mut().zip(&layout.columns) {
        column.set_padding((0, GAP as u16));
        if matches!(kind, Column::Size | Column::Values) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}{}", table.trim_fmt(), layout.missing())
}

/// Which columns there are, and how wide.
struct Layout {
    columns: Vec<Column>,
    id: usize,
    principal: usize,
    moment: usize,
    /// Of size and values.
    numbers: [usize; 2],
}

impl Layout {
    fn fitting(rows: &[Row], width: usize) -> Layout {
        let widest = |column: Column| {
            let cells = rows.iter().map(|row| measure_text_width(column.text(row)));
            cells.chain([column.title().len()]).max().unwrap_or_default()
        };
        let longest = widest(Column::Principal);
        let mut layout = Layout {
            columns: ALL.to_vec(),
            id: SHORT_ID,
            principal: longest.min(SHORT_PRINCIPAL),
            moment: MOMENT_ON_TWO_LINES,
            numbers: [widest(Column::Size), widest(Column::Values)],
        };
        for column in EXPENDABLE {
            if layout.width() > width {
                layout.columns.retain(|other| *other != column);
            }
        }
        layout.moment = MOMENT;
        if layout.width() > width {
            layout.moment = MOMENT_ON_TWO_LINES;
        }
        let room = width.saturating_sub(layout.width());
        layout.principal += room.min(longest - layout.principal);
        let room = width.saturating_sub(layout.width());
        layout.id += room.min(22 - SHORT_ID);
        layout
    }

    fn width(&self) -> usize {
        self.columns.iter().map(|column| self.width_of(*column) + GAP).sum::<usize>() - GAP
    }

    fn width_of(&self, column: Column) -> usize {
        match column {
            Column::Id => self.id,
            Column::Principal => self.principal,
            Column::Made | Column::Used | Column::Ends => self.moment,
            Column::Size => self.numbers[0],
            Column::Values => self.numbers[1],
        }
    }

    fn cell(&self, column: Column, row: &Row) -> String {
        let text = column.text(row);
        match column {
            Column::Id | Column::Principal => truncate_str(text, self.width_of(column), "…").into_owned(),
            Column::Made | Column::Used | Column::Ends if self.moment < MOMENT => text.replace(' ', "\n"),
            _ => text.to_owned(),
        }
    }

    fn missing(&self) -> String {
        let missing: Vec<&str> =
            ALL.iter().filter(|column| !self.columns.contains(column)).map(|column| column.title()).collect();
        match missing.is_empty() {
            true => String::new(),
            false => format!("\n\nNo room: {}", missing.join(", ")),
        }
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Id => "id",
            Column::Principal => "principal",
            Column::Made => "made",
            Column::Used => "last used",
            Column::Ends => "ends",
            Column::Size => "size",
            Column::Values => "values",
        }
    }

    fn text(self, row: &Row) -> &str {
        match self {
            Column::Id => &row.id,
            Column::Principal => &row.principal,
            Column::Made => &row.made,
            Column::Used => &row.used,
            Column::Ends => &row.ends,
            Column::Size => &row.size,
            Column::Values => &row.values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(principal: &str) -> Row {
        let moment = || "2026-11-23 08:40:12Z".to_owned();
        Row {
            id: "k".repeat(22),
            principal: principal.to_owned(),
            made: moment(),
            used: moment(),
            ends: moment(),
            size: "1023.99 KiB".to_owned(),
            values: "12".to_owned(),
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = [row("user:42"), row(&"漢字".repeat(60)), row("-")];
        for width in 40..200 {
            for line in render(&rows, width).lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_wide_terminal_has_room_for_all() {
        let table = render(&[row("user:42")], 160);
        assert!(table.contains(&"k".repeat(22)) && table.contains("1023.99 KiB"), "{table}");
        assert_eq!(table.lines().count(), 2, "{table}");
    }

    #[test]
    fn what_has_no_room_is_told() {
        let table = render(&[row("user:42")], 40);
        assert!(table.ends_with("\n\nNo room: made, last used, size, values"), "{table}");
        assert!(table.contains("kkkkkkkkkkk…"), "{table}");
    }
}
