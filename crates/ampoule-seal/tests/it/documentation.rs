//! Secrets in the documentation are refused: a site that copied one would accept cookies that an attacker forged.

use std::fs;
use std::path::{Path, PathBuf};

use ampoule_seal::Secret;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn no_secret_in_the_documentation_is_accepted() {
    if !Path::new(ROOT).join("guide").exists() {
        println!("skipped: this crate was unpacked from its package, without the pages of the repository");
        return;
    }
    let mut files = Vec::new();
    for folder in ["crates", "examples", "guide"] {
        walk(&Path::new(ROOT).join(folder), &mut files);
    }
    files.extend(fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    let mut found = 0;
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.lines().filter(|line| is_shown(&file, line)) {
            for shown in texts(line) {
                found += 1;
                assert!(Secret::new(shown).is_err(), "{}: `{line}` shows a secret that is accepted", file.display());
            }
        }
    }
    assert!(found > 20, "only {found} texts beside the word secret: the search is broken");
}

/// Collects sources and pages. Tests are left out, since no site copies their secrets.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !["tests", "target"].iter().any(|name| path.ends_with(name)) {
            walk(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// Returns whether a line may show a secret to readers. In a source file only doc comments do.
fn is_shown(file: &Path, line: &str) -> bool {
    let extension = file.extension().unwrap_or_default();
    let is_source = extension == "rs" && !file.starts_with(Path::new(ROOT).join("examples"));
    let line = line.trim_start().to_ascii_lowercase();
    let is_about_secrets = ["secret", "encrypt_key", "from_the_environment"].iter().any(|word| line.contains(word));
    let is_doc = line.starts_with("///") || line.starts_with("//!");
    is_about_secrets
        && if is_source { is_doc } else { ["rs", "md", "ini", "tmpl", "toml"].iter().any(|known| extension == *known) }
}

/// Returns the texts in quotes and the values of options. The value is ignored if it is a call, whose text is in
/// quotes.
fn texts(line: &str) -> Vec<&str> {
    let quoted = line.split(['"', '`']).skip(1).step_by(2);
    let set_to = line.split_once(" = ").map(|(_, value)| value.trim()).filter(|value| !value.contains("::"));
    quoted.chain(set_to).filter(|text| !text.is_empty()).collect()
}
