//! A process whose clock is wrong.

use std::path::PathBuf;
use std::process::Command;

use crate::tools::missing;

/// Puts a process's clock off by this much, such as `+2d`, with libfaketime. Says whether that library is there.
///
/// # Panics
/// If it is missing where all are required.
pub fn set_clock_off(command: &mut Command, offset: &str) -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = folders.chain([PathBuf::from("/usr/lib")]).map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let Some(library) = found.into_iter().find(|library| library.exists()) else {
        missing(
            "a process whose clock is off needs `libfaketimeMT.so.1`, which is not installed (Debian: libfaketime)",
        );
        return false;
    };
    command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    true
}
