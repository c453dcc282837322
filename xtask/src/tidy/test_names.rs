//! The names of the tests in a file, with the modules that contain them, as the filter of `cargo test` sees them.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, ItemFn, ItemMacro, ItemMod};

use super::rust::{RustFile, is_test};

/// The macros of the tree that make tests: a definition that has a test attribute, or calls such a macro.
pub(crate) fn test_macros(rust: &[RustFile<'_>]) -> BTreeSet<String> {
    let items = rust.iter().flat_map(|file| &file.syntax.items);
    let definitions: Vec<(String, &TokenStream)> = items
        .filter_map(|item| match item {
            Item::Macro(ItemMacro { ident: Some(name), mac, .. }) => Some((name.to_string(), &mac.tokens)),
            _ => None,
        })
        .collect();
    let mut known = BTreeSet::new();
    loop {
        let is_new = |(name, tokens): &&(String, &TokenStream)| {
            !known.contains(name) && (has_test_attribute(tokens) || mentions(tokens, &known))
        };
        let found: Vec<String> = definitions.iter().filter(is_new).map(|(name, _)| name.clone()).collect();
        if found.is_empty() {
            return known;
        }
        known.extend(found);
    }
}

/// The names of the file's tests: functions with a test attribute, and all words in the calls of a macro that makes
/// tests, since a test is named by one or two of them.
pub(crate) fn of(file: &syn::File, test_macros: &BTreeSet<String>) -> Vec<String> {
    let mut reader = Reader { test_macros, module: String::new(), names: Vec::new() };
    reader.visit_file(file);
    reader.names
}

struct Reader<'a> {
    test_macros: &'a BTreeSet<String>,
    /// The path of the present module in the file, such as `tests::`.
    module: String,
    names: Vec<String>,
}

impl Reader<'_> {
    fn add(&mut self, name: impl std::fmt::Display) {
        self.names.push(format!("{}{name}", self.module));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let outer = self.module.len();
        self.module += &format!("{}::", item.ident);
        visit::visit_item_mod(self, item);
        self.module.truncate(outer);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if is_test(&item.attrs) {
            self.add(&item.sig.ident);
        }
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        let is_known =
            item.mac.path.segments.last().is_some_and(|last| self.test_macros.contains(&last.ident.to_string()));
        if item.ident.is_none() && (is_known || has_test_attribute(&item.mac.tokens)) {
            words(&item.mac.tokens).for_each(|word| self.add(word));
        }
    }
}

/// The identifiers outside of brackets.
fn words(tokens: &TokenStream) -> impl Iterator<Item = String> {
    tokens.clone().into_iter().filter_map(|tree| match tree {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    })
}

/// Whether there is a `#[test]` or `#[tokio::test]`, but not only a `#[cfg(test)]`.
fn has_test_attribute(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Group(group) => {
            let is_test = || words(&group.stream()).last().is_some_and(|last| last == "test");
            (group.delimiter() == Delimiter::Bracket && is_test()) || has_test_attribute(&group.stream())
        }
        _ => false,
    })
}

/// Whether one of the names is among the identifiers, at any depth.
fn mentions(tokens: &TokenStream, names: &BTreeSet<String>) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => names.contains(&word.to_string()),
        TokenTree::Group(group) => mentions(&group.stream(), names),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{rust, tree::tests::sample};
    use super::*;

    #[test]
    fn tests_of_functions_and_macros_are_found_and_helpers_are_not() {
        let (_folder, tree) = sample(&[
            ("support.rs", "macro_rules! on { ($n:ident) => { #[tokio::test(flavor = \"x\")] async fn $n() {} } }\n"),
            ("more.rs", "macro_rules! on_all { ($n:ident) => { $crate::on! { $n } } }\n"),
            ("other.rs", "macro_rules! not { ($n:ident) => { #[cfg(test)] fn $n() {} } }\n"),
            (
                "tests.rs",
                "on! { one on A B; }\non_all! { two; }\nnot! { helper }\nfn one() {}\nfn help() {}\n\
                 mod inner { #[test] fn three() { fn no() {} }\nproptest! { #[test] fn four(n in 0..9) { no(n); } } }\n",
            ),
        ]);
        let (rust, _) = rust::parse(&tree);
        let macros = test_macros(&rust);
        assert_eq!(macros.iter().collect::<Vec<_>>(), ["on", "on_all"]);
        let file = rust.iter().find(|file| file.file.path.ends_with("tests.rs")).unwrap();
        let names = of(&file.syntax, &macros);
        assert_eq!(names, ["one", "on", "A", "B", "two", "inner::three", "inner::fn", "inner::four"]);
    }
}
