//! No tabs and no trailing blanks.

use super::{Finding, TextFile, Tree};

/// For Rust, pages and manifests; scripts and web files have their own conventions.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    ["rs", "md", "toml"].iter().flat_map(|kind| tree.of_kind(kind)).flat_map(in_file).collect()
}

fn in_file(file: &TextFile) -> impl Iterator<Item = Finding> + '_ {
    file.lines().filter_map(|(number, line)| {
        let (what, remedy) = problem(line)?;
        Some(Finding::new(&file.path, number, what, remedy))
    })
}

fn problem(line: &str) -> Option<(&'static str, &'static str)> {
    let trailing = line.ends_with(char::is_whitespace).then_some(("blanks at the end of the line", "remove them"));
    trailing.or_else(|| line.contains('\t').then_some(("a tab", "write spaces, or \\t in a string")))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn tabs_and_trailing_blanks_are_found() {
        let text = "good\nbad \nworse\t\n\tworst\ndos\r\n\n";
        for path in ["a.rs", "a.md", "a.toml"] {
            let (_folder, tree) = sample(&[(path, text)]);
            let lines: Vec<_> = check(&tree).into_iter().map(|finding| finding.line).collect();
            assert_eq!(lines, [2, 3, 4, 5], "{path}");
        }
    }
}
