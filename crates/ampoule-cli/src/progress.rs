//! A line on the terminal that moves while something takes long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts up on standard error, if that is a terminal and JSON was not asked for; says nothing otherwise.
pub(crate) fn counter(what: &'static str, json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
