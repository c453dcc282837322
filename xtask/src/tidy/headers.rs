//! Every Rust file starts with a line that describes its purpose.

use super::{Finding, TextFile, Tree};

/// Tests, examples and benches too: a reader who opens a file should know at once whether it is the right one.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.of_kind("rs").filter(|file| !has_header(file)).map(finding).collect()
}

fn has_header(file: &TextFile) -> bool {
    file.text.lines().next().and_then(|first| first.strip_prefix("//!")).is_some_and(|idea| !idea.trim().is_empty())
}

fn finding(file: &TextFile) -> Finding {
    Finding::new(&file.path, 1, "the file does not say what it is for", "start it with a `//!` line that says its idea")
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn a_file_without_a_first_line_of_docs_is_found() {
        let (_folder, tree) = sample(&[
            ("good.rs", "//! An idea.\nuse a;\n"),
            ("late.rs", "use a;\n//! An idea.\n"),
            ("empty.rs", ""),
            ("hollow.rs", "//!\n//! An idea.\n"),
        ]);
        let paths: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["empty.rs", "hollow.rs", "late.rs"].map(std::path::PathBuf::from));
    }
}
