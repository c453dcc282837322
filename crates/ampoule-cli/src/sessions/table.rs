//! A table of sessions that fits the terminal, with one line for each: first columns are left out, then ids and names
//! are shortened.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::{measure_text_width, truncate_str};

use super::row::Row;

/// The space between two columns, and on a narrow terminal.
const GAP: usize = 2;
const SMALL_GAP: usize = 1;

/// A terminal below this width is narrow.
const NARROW: usize = 60;

/// The minimum width of an id, with its …: enough to use it as a prefix.
const MIN_ID_WIDTH: usize = 9;

/// The minimum width of principals and layers.
const MIN_NAME_WIDTH: usize = 6;

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Id,
    Layer,
    Principal,
    Made,
    Used,
    Ends,
    Size,
    Values,
}

const ALL: [Column; 8] = [
    Column::Id,
    Column::Layer,
    Column::Principal,
    Column::Made,
    Column::Used,
    Column::Ends,
    Column::Size,
    Column::Values,
];

/// The columns that may be left out, in this order.
const EXPENDABLE: [Column; 4] = [Column::Values, Column::Size, Column::Made, Column::Ends];

/// Renders a heading with the layer and the order, the table, and a line with the columns that were left out.
pub(super) fn render(rows: &[Row], sorted: &str, width: usize) -> String {
    let layer = only_layer(rows);
    let layout = Layout::fitting(rows, layer.is_none(), width);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(layout.columns.iter().map(|column| Cell::new(column.title())));
    for row in rows {
        table.add_row(layout.columns.iter().map(|column| layout.cell(*column, row)));
    }
    for (column, kind) in table.column_iter_mut().zip(&layout.columns) {
        column.set_padding((0, layout.gap as u16));
        if matches!(kind, Column::Size | Column::Values) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let whose = layer.map_or_else(String::new, |layer| format!("layer {layer}, "));
    let heading = format!("{whose}{sorted}");
    format!("{}\n\n{}{}", truncate_str(&heading, width, "…"), table.trim_fmt(), layout.missing())
}

/// The layer of all sessions, if they have the same one. Damaged sessions, whose layer is not known, do not count.
fn only_layer(rows: &[Row]) -> Option<&str> {
    let mut layers = rows.iter().map(|row| row.layer.as_str()).filter(|layer| !layer.is_empty());
    let first = layers.next().unwrap_or_default();
    layers.all(|layer| layer == first).then_some(first).filter(|layer| !layer.is_empty())
}

/// The columns and their widths.
struct Layout {
    columns: Vec<Column>,
    widths: [usize; ALL.len()],
    gap: usize,
}

impl Layout {
    fn fitting(rows: &[Row], with_layer: bool, width: usize) -> Layout {
        let widest = ALL.map(|column| {
            let cells = rows.iter().map(|row| measure_text_width(column.text(row)));
            cells.chain([column.title().len()]).max().unwrap_or_default()
        });
        let gap = if width < NARROW { SMALL_GAP } else { GAP };
        let mut layout = Layout { columns: ALL.to_vec(), widths: widest, gap };
        for column in ALL {
            layout.widths[column as usize] = widest[column as usize].min(column.min_width());
        }
        layout.columns.retain(|column| with_layer || *column != Column::Layer);
        for column in EXPENDABLE {
            if layout.width() > width {
                layout.columns.retain(|other| *other != column);
            }
        }
        for column in [Column::Principal, Column::Layer, Column::Id] {
            let room = width.saturating_sub(layout.width());
            let short = &mut layout.widths[column as usize];
            *short += room.min(widest[column as usize] - *short);
        }
        layout
    }

    fn width(&self) -> usize {
        self.columns.iter().map(|column| self.widths[*column as usize] + self.gap).sum::<usize>() - self.gap
    }

    fn cell(&self, column: Column, row: &Row) -> String {
        truncate_str(column.text(row), self.widths[column as usize], "…").into_owned()
    }

    fn missing(&self) -> String {
        let missing: Vec<&str> =
            EXPENDABLE.iter().filter(|column| !self.columns.contains(column)).map(|column| column.title()).collect();
        match missing.is_empty() {
            true => String::new(),
            false => format!("\n\nNo room: {}", missing.join(", ")),
        }
    }
}

impl Column {
    /// The width to which the column may be shortened.
    fn min_width(self) -> usize {
        match self {
            Column::Id => MIN_ID_WIDTH,
            Column::Layer | Column::Principal => MIN_NAME_WIDTH.max(self.title().len()),
            _ => usize::MAX,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Column::Id => "id",
            Column::Layer => "layer",
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
            Column::Layer => &row.layer,
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

    fn row(layer: &str, principal: &str) -> Row {
        Row {
            id: "k".repeat(22),
            layer: layer.to_owned(),
            principal: principal.to_owned(),
            made: "364 d ago".to_owned(),
            used: "59 min ago".to_owned(),
            ends: "in 47 h".to_owned(),
            size: "1023.99 KiB".to_owned(),
            values: "12".to_owned(),
        }
    }

    #[test]
    fn each_session_is_one_line_no_wider_than_the_terminal() {
        let long = "漢字".repeat(60);
        let one = [row("shop", "user:42"), row("shop", &long), row("shop", "-")];
        let two = [row("shop", "user:42"), row(&long, &long), row("", "(damaged)")];
        for rows in [one, two] {
            for width in 40..200 {
                let table = render(&rows, "last used first", width);
                for line in table.lines() {
                    assert!(measure_text_width(line) <= width, "{width}: {line}");
                }
                assert_eq!(table.lines().filter(|line| line.starts_with('k')).count(), 3, "{width}: {table}");
                assert!(table.contains("59 min ago"), "{width}: {table}");
            }
        }
    }

    #[test]
    fn one_layer_is_in_the_heading_and_several_are_a_column() {
        let one = render(&[row("shop", "user:42"), row("", "(damaged)")], "last used first", 160);
        assert!(one.starts_with("layer shop, last used first\n\nid "), "{one}");
        assert!(one.contains(&"k".repeat(22)) && one.contains("1023.99 KiB"), "{one}");
        let two = render(&[row("shop", "user:42"), row("admin", "user:42")], "last used first", 80);
        let heading: Vec<_> = two.lines().nth(2).unwrap_or_default().split_whitespace().collect();
        assert!(two.starts_with("last used first\n") && heading[..3] == ["id", "layer", "principal"], "{two}");
        assert!(two.contains(" admin "), "{two}");
    }

    #[test]
    fn columns_without_room_are_listed() {
        let table = render(&[row("shop", "user:42")], "last used first", 40);
        assert!(table.ends_with("\n\nNo room: values, size, made"), "{table}");
        assert!(table.contains("kkkkkkkk…") && table.contains("in 47 h"), "{table}");
    }
}
