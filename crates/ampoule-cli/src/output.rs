//! What the command says: results to standard output, complaints to standard error.
//!
//! A pipe that was closed early, as by `| head`, is no error.

use std::io::Write;

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Each line of the message on a line of its own, so that an editor can jump to the place that it names.
pub(crate) fn complain(message: &str) {
    let mut out = std::io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(out, "error: {line}");
    }
}
