//! Parsed Rust files, for the rules about sizes, functions and imports.

use std::path::Path;

use syn::Attribute;

use super::{Finding, TextFile, Tree};

/// A source file and its syntax tree.
pub(crate) struct RustFile<'a> {
    pub(crate) file: &'a TextFile,
    pub(crate) syntax: syn::File,
}

impl RustFile<'_> {
    /// Whether the whole file is tests: in a `tests` or `benches` folder, or a `tests.rs` that a module names.
    pub(crate) fn is_tests(&self) -> bool {
        let named = |part: &Path, name: &str| part == Path::new(name);
        let mut parts = self.file.path.iter().map(Path::new);
        parts.any(|part| named(part, "tests") || named(part, "benches") || named(part, "tests.rs"))
    }
}

/// Parses every Rust file. One that does not parse is a finding; the others are still checked.
pub(crate) fn parse(tree: &Tree) -> (Vec<RustFile<'_>>, Vec<Finding>) {
    let (mut parsed, mut findings) = (Vec::new(), Vec::new());
    for file in tree.of_kind("rs") {
        match syn::parse_file(&file.text) {
            Ok(syntax) => parsed.push(RustFile { file, syntax }),
            Err(error) => findings.push(unparsed(file, &error)),
        }
    }
    (parsed, findings)
}

fn unparsed(file: &TextFile, error: &syn::Error) -> Finding {
    let what = format!("this is not Rust: {error}");
    Finding::new(&file.path, error.span().start().line, what, "mend it, or give the file another extension")
}

/// Whether the item is compiled for tests only: `#[cfg(test)]`.
pub(crate) fn is_cfg_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// Whether the function is a test: `#[test]`, `#[tokio::test]` and their like.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn a_file_that_does_not_parse_is_found_with_its_line() {
        let (_folder, tree) = sample(&[("src/lib.rs", "//! Bad.\nfn f() {\nlet = 1;\n}\n")]);
        let (parsed, findings) = parse(&tree);
        assert!(parsed.is_empty());
        assert_eq!((findings.len(), findings[0].line), (1, 3));
    }
}
