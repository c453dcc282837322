//! `cargo xtask tidy` as a command: what it prints and how it exits.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = r#"[workspace]

[workspace.lints.rust]
missing_docs = "deny"

[package]
name = "sample"
description = "A sample"
version = "0.1.0"
edition = "2024"
rust-version = "1.85"

[package.metadata.ampoule]
floor = 0

[lints]
workspace = true
"#;

fn tidy(files: &[(&str, &str)]) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        write(&folder.path().join(path), text);
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").current_dir(folder.path()).output().expect("xtask runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, printed)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("the folder is made");
    fs::write(path, text).expect("the file is written");
}

#[test]
fn a_tidy_workspace_exits_0_and_shows_the_figures() {
    let (output, printed) = tidy(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "//! A sample.\nfn one() {}\n")]);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.starts_with("functions: 1 outside tests"), "{printed}");
    assert!(printed.ends_with("tidy: every rule holds\n"), "{printed}");
}

#[test]
fn findings_exit_1_and_are_listed_by_place() {
    let source = "fn one() {} \n";
    let (output, printed) = tidy(&[("Cargo.toml", MANIFEST), ("src/lib.rs", source), ("A.md", "[x](gone.md)\n")]);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let places: Vec<&str> = printed.lines().filter_map(|line| line.split_once(": ")).map(|(place, _)| place).collect();
    assert_eq!(places[..3], ["A.md:1", "src/lib.rs:1", "src/lib.rs:1"]);
    assert!(printed.ends_with("tidy: 3 findings\n"), "{printed}");
}

#[test]
fn a_folder_that_is_no_workspace_exits_2() {
    let (output, _) = tidy(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tidy could not check"));
}

#[test]
fn an_unknown_chore_exits_2_with_the_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("sweep").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: cargo xtask tidy"));
}
