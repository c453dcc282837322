//! Functions are short: none exceeds its limit; the figures show all lengths and the targets.

use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn};

use super::Finding;
use super::rust::{RustFile, is_cfg_test, is_test};

const MAX_LINES: usize = 60;
const MAX_TEST_LINES: usize = 100;

/// A function with a body. The content of macro calls is not checked: it is unparsed tokens.
pub(crate) struct Function {
    path: PathBuf,
    line: usize,
    name: String,
    /// Lines between the braces; a body on one line is 1.
    lines: usize,
    test: bool,
}

/// Every function, method and provided method, nested ones too.
pub(crate) fn list(rust: &[RustFile<'_>]) -> Vec<Function> {
    let mut functions = Vec::new();
    for file in rust {
        let mut reader = Reader { path: &file.file.path, test: file.is_tests(), functions: &mut functions };
        reader.visit_file(&file.syntax);
    }
    functions
}

/// The functions that are too long.
pub(crate) fn check(functions: &[Function]) -> Vec<Finding> {
    functions.iter().filter_map(finding).collect()
}

fn finding(function: &Function) -> Option<Finding> {
    let limit = if function.test { MAX_TEST_LINES } else { MAX_LINES };
    let what = || format!("`{}` has {} lines, at most {limit} are allowed", function.name, function.lines);
    let remedy = "give a part of it a name of its own";
    (function.lines > limit).then(|| Finding::new(&function.path, function.line, what(), remedy))
}

/// The lengths of functions outside tests, with the targets; informative.
pub(crate) fn figures(functions: &[Function]) -> String {
    let mut own: Vec<&Function> = functions.iter().filter(|function| !function.test).collect();
    own.sort_by_key(|function| function.lines);
    let Some(longest) = own.last() else { return "functions: none".to_owned() };
    let at = |percent: usize| own[(own.len() - 1) * percent / 100].lines;
    let within = |limit: usize| own.iter().filter(|function| function.lines <= limit).count() * 100 / own.len();
    let spread = format!("median {}, 90th percentile {}", at(50), at(90));
    let targets = format!("{} % within 8 lines (target 50), {} % within 20 (target 90)", within(8), within(20));
    let last = format!("longest {} ({}:{})", longest.lines, longest.path.display(), longest.line);
    format!("functions: {} outside tests, {spread}; {targets}; {last}", own.len())
}

struct Reader<'a> {
    path: &'a Path,
    test: bool,
    functions: &'a mut Vec<Function>,
}

impl Reader<'_> {
    fn add(&mut self, attributes: &[Attribute], signature: &Signature, body: &Block) {
        let braces = body.brace_token.span;
        let between = braces.close().start().line - braces.open().start().line;
        self.functions.push(Function {
            path: self.path.to_owned(),
            line: signature.fn_token.span.start().line,
            name: signature.ident.to_string(),
            lines: between.saturating_sub(1).max(1),
            test: self.test || is_test(attributes),
        });
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.attrs, &item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.attrs, &item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(&item.attrs, &item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let outside = self.test;
        self.test |= is_cfg_test(&item.attrs);
        visit::visit_item_mod(self, item);
        self.test = outside;
    }
}

#[cfg(test)]
mod tests {
    use super::super::rust::parse;
    use super::super::tree::tests::sample;
    use super::*;

    fn functions(text: &str) -> Vec<Function> {
        let (_folder, tree) = sample(&[("src/a.rs", text)]);
        list(&parse(&tree).0)
    }

    fn found(text: &str) -> usize {
        check(&functions(text)).len()
    }

    fn body(lines: usize) -> String {
        format!("{{\n{}}}\n", "();\n".repeat(lines))
    }

    #[test]
    fn every_body_of_61_lines_is_found() {
        assert_eq!(found(&format!("fn f() {}", body(60))), 0);
        assert_eq!(found(&format!("fn f() {}", body(61))), 1);
        assert_eq!(found(&format!("impl A {{ fn f() {} }}", body(61))), 1);
        assert_eq!(found(&format!("trait A {{ fn f() {} }}", body(61))), 1);
        assert_eq!(found(&format!("mod a {{ fn f() {} }}", body(61))), 1);
    }

    #[test]
    fn a_test_may_have_100_lines() {
        assert_eq!(found(&format!("#[tokio::test]\nfn f() {}", body(100))), 0);
        assert_eq!(found(&format!("#[cfg(test)]\nmod tests {{ fn f() {} }}", body(100))), 0);
        assert_eq!(found(&format!("#[test]\nfn f() {}", body(101))), 1);
    }

    #[test]
    fn code_after_a_test_module_is_not_a_test() {
        assert_eq!(found(&format!("#[cfg(test)]\nmod tests {{}}\nfn f() {}", body(61))), 1);
    }

    #[test]
    fn figures_count_lines_between_the_braces_and_leave_tests_out() {
        let text = format!("fn a() {{}}\nfn b() {}#[test]\nfn c() {}", body(30), body(90));
        let figures = figures(&functions(&text));
        assert!(figures.contains("2 outside tests"), "{figures}");
        assert!(figures.contains("50 % within 8 lines"), "{figures}");
        assert!(figures.contains("longest 30 (src/a.rs:2)"), "{figures}");
    }
}
