//! Prints results to standard output, errors to standard error.
//!
//! A pipe that was closed early, as by `| head`, is not an error.

use std::io::Write;

pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints each line of the message as an error of its own, so that an editor can jump to the line that it names.
pub(crate) fn print_error(message: &str) {
    let mut out = std::io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(out, "error: {line}");
    }
}
