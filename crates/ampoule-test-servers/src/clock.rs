//! Processes with a wrong clock.

use std::path::PathBuf;
use std::process::Command;

use crate::tools::report_missing;

/// Sets the clock of a process off by this much, such as `+2d`, with libfaketime. Returns whether that library is
/// installed; if it is not, the command is unchanged.
///
/// # Panics
/// If the library is not installed and `AMPOULE_TEST_REQUIRE_ALL` is set.
pub fn set_clock_off(command: &mut Command, offset: &str) -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let candidates =
        folders.chain([PathBuf::from("/usr/lib")]).map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let Some(library) = candidates.into_iter().find(|library| library.exists()) else {
        report_missing(
            "a test with a wrong clock needs `libfaketimeMT.so.1`, which is not installed (Debian: libfaketime)",
        );
        return false;
    };
    command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    true
}
