//! A `cargo test` command in a page names an existing package and test binary, and its filter selects a test.

use std::path::Path;

use cargo_metadata::{Metadata, Package};
use pulldown_cmark::{Event, Options, Parser};

use super::rust::RustFile;
use super::{Finding, TextFile, Tree, test_names};

const COMMAND: &str = "cargo test";

/// Checks the commands in the code of every Markdown page. cargo runs no test for a filter that selects none, and
/// succeeds, so that a command whose test was renamed would still seem to prove something.
pub(crate) fn check(metadata: &Metadata, tree: &Tree, rust: &[RustFile<'_>]) -> Vec<Finding> {
    let macros = test_names::test_macros(rust);
    let tests: Vec<Tests<'_>> = rust.iter().map(|rust| (rust.file, test_names::of(&rust.syntax, &macros))).collect();
    let mut findings = Vec::new();
    for page in tree.of_kind("md") {
        for (event, place) in Parser::new_ext(&page.text, Options::all()).into_offset_iter() {
            let (Event::Code(text) | Event::Text(text)) = event else { continue };
            for line in text.lines().filter_map(|line| line.trim_start_matches(['$', ' ']).strip_prefix(COMMAND)) {
                if let Some(missing) = Command::parse(line).missing(metadata, &tests) {
                    let number = page.text[..place.start].matches('\n').count() + 1;
                    let what = format!("`{COMMAND}{line}` names no {missing}");
                    findings.push(Finding::new(&page.path, number, what, "name one that exists"));
                }
            }
        }
    }
    findings
}

/// A Rust file, and the names of its tests.
type Tests<'a> = (&'a TextFile, Vec<String>);

/// The arguments of a command that select tests.
#[derive(Default)]
struct Command<'a> {
    package: Option<&'a str>,
    binary: Option<&'a str>,
    filter: Option<&'a str>,
    /// Whether its tests are no functions of the workspace: those of documentation, and of another manifest.
    is_elsewhere: bool,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Command<'a> {
        let (mut command, mut words) = (Command::default(), line.split_whitespace());
        while let Some(word) = words.next() {
            match word {
                "--" | "#" => break,
                "-p" | "--package" => command.package = words.next(),
                "--test" => command.binary = words.next(),
                "--doc" | "--manifest-path" => command.is_elsewhere = true,
                "--features" => drop(words.next()),
                word if word.starts_with('-') => {}
                word => command.filter = Some(word),
            }
        }
        command
    }

    /// The part of the command that does not exist, if any.
    fn missing(&self, metadata: &Metadata, tests: &[Tests<'_>]) -> Option<&'static str> {
        let packages: Vec<_> = metadata.workspace_packages().into_iter().filter(|found| self.is_of(found)).collect();
        if packages.is_empty() {
            return Some("package");
        }
        if self.is_elsewhere {
            return None;
        }
        let mut targets =
            packages.iter().flat_map(|package| &package.targets).filter(|target| self.is_in(target)).peekable();
        if targets.peek().is_none() {
            return Some("test binary");
        }
        let filter = self.filter?;
        let is_selected = targets.any(|target| {
            let root = target.src_path.strip_prefix(&metadata.workspace_root).unwrap_or(&target.src_path).as_std_path();
            tests.iter().any(|(file, names)| {
                module(file, root)
                    .is_some_and(|module| names.iter().any(|name| (module.clone() + name).contains(filter)))
            })
        });
        if is_selected { None } else { Some("test") }
    }

    fn is_of(&self, package: &Package) -> bool {
        self.package.is_none_or(|name| package.name == name)
    }

    fn is_in(&self, target: &cargo_metadata::Target) -> bool {
        self.binary.is_none_or(|name| target.is_test() && target.name == name)
    }
}

/// The path of a file's module below its crate root, such as `store::path::`; `None` if the file is not of that crate.
fn module(file: &TextFile, root: &Path) -> Option<String> {
    if file.path == root {
        return Some(String::new());
    }
    let folder = root.parent().filter(|_| ["main.rs", "lib.rs"].iter().any(|name| root.ends_with(name)))?;
    let path = file.path.strip_prefix(folder).ok()?.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy()).filter(|name| name != "mod");
    Some(names.map(|name| format!("{name}::")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{metadata, rust, tree::tests::sample};
    use super::*;

    /// What is reported of a page with this text.
    fn found(page: &str) -> Vec<String> {
        let (folder, tree) = sample(&[
            ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n"),
            ("src/lib.rs", "mod one;\n"),
            ("src/one.rs", "#[test]\nfn p1_adds() {}\n"),
            ("tests/it/main.rs", "mod two;\n"),
            ("tests/it/two.rs", "#[tokio::test]\nasync fn it_holds() {}\nfn session() {}\n"),
            ("tests/alone.rs", "mod inner {\n    #[test]\n    fn is_kept() {}\n}\nmod empty {}\n"),
            ("page.md", page),
        ]);
        let (rust, _) = rust::parse(&tree);
        check(&metadata(folder.path()).unwrap(), &tree, &rust).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_command_that_selects_tests_is_not_found() {
        let page = "`cargo test`, `cargo test p1_`, `cargo test -p a --test it two::it_h`, `cargo test --doc x`\n\n\
                    ```console\n$ cargo test --test alone inner -- --nocapture\ncargo test one::   # the first\n```\n";
        assert_eq!(found(page), [""; 0]);
    }

    #[test]
    fn a_command_that_selects_nothing_is_found_with_its_line() {
        for (command, missing) in [
            ("cargo test -p b", "package"),
            ("cargo test --test its", "test binary"),
            ("cargo test p2_", "test"),
            ("cargo test --test it p1_", "test"),
            ("cargo test --test alone two::", "test"),
            ("cargo test --test it session", "test"),
            ("cargo test --test alone empty::", "test"),
        ] {
            let findings = found(&format!("# A page\n\nProof: `{command}`.\n"));
            assert_eq!(findings.len(), 1, "{command}");
            let start = format!("page.md:3: `{command}` names no {missing};");
            assert!(findings[0].starts_with(&start), "{findings:?}");
        }
    }
}
