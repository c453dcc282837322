//! What documentation shows as a secret is refused: a site that copied it would accept cookies that an attacker made.

use std::fs;
use std::path::{Path, PathBuf};

use ampoule_seal::Secret;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn no_secret_of_the_documentation_is_accepted() {
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
    assert!(found > 20, "only {found} texts beside the word secret: the search itself is broken");
}

/// Sources and pages, but for tests, whose secrets are of no use to an attacker.
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

/// Whether a reader sees this line as an example of a secret: of a source its doc comments alone.
fn is_shown(file: &Path, line: &str) -> bool {
    let extension = file.extension().unwrap_or_default();
    let is_source = extension == "rs" && !file.starts_with(Path::new(ROOT).join("examples"));
    let line = line.trim_start().to_ascii_lowercase();
    let speaks = ["secret", "encrypt_key", "from_the_environment"].iter().any(|word| line.contains(word));
    let is_doc = line.starts_with("///") || line.starts_with("//!");
    speaks
        && if is_source { is_doc } else { ["rs", "md", "ini", "tmpl", "toml"].iter().any(|known| extension == *known) }
}

/// What stands in quotes, and what an option is set to; not a call, whose text of a secret stands in quotes.
fn texts(line: &str) -> Vec<&str> {
    let quoted = line.split(['"', '`']).skip(1).step_by(2);
    let set_to = line.split_once(" = ").map(|(_, value)| value.trim()).filter(|value| !value.contains("::"));
    quoted.chain(set_to).filter(|text| !text.is_empty()).collect()
}
