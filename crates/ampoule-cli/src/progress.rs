//! A progress line on the terminal for long operations.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A counter on standard error; hidden with `--json` or if standard error is not a terminal.
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
