//! Files are short: one idea each.

use syn::Item;

use super::rust::{RustFile, is_cfg_test};
use super::{Finding, TextFile};

const MAX_LINES: usize = 400;
const MAX_TEST_LINES: usize = 600;

/// Counts neither doc comments nor a `#[cfg(test)] mod … { … }` at the end: both may be long.
pub(crate) fn check(rust: &[RustFile<'_>]) -> Vec<Finding> {
    rust.iter().filter_map(finding).collect()
}

fn finding(rust: &RustFile<'_>) -> Option<Finding> {
    let limit = if rust.is_tests() { MAX_TEST_LINES } else { MAX_LINES };
    let lines = lines(rust);
    let what = || format!("{lines} lines without docs and the test module at the end, at most {limit} are allowed");
    (lines > limit).then(|| Finding::new(&rust.file.path, limit, what(), "cut it where a second idea begins"))
}

fn lines(rust: &RustFile<'_>) -> usize {
    let tests = rust.syntax.items.last().and_then(test_module);
    let counted = |number: usize| tests.is_none_or(|(first, last)| number < first || number > last);
    let total = rust.file.text.lines().count();
    code_lines(rust.file).filter(|number| *number <= total && counted(*number)).count()
}

fn code_lines(file: &TextFile) -> impl Iterator<Item = usize> {
    file.lines().filter(|(_, line)| !is_doc(line.trim_start())).map(|(number, _)| number)
}

fn is_doc(line: &str) -> bool {
    line.starts_with("///") || line.starts_with("//!")
}

/// First and last line of the module if it is for tests and its body is here.
fn test_module(item: &Item) -> Option<(usize, usize)> {
    let Item::Mod(module) = item else { return None };
    let (braces, _) = module.content.as_ref().filter(|_| is_cfg_test(&module.attrs))?;
    let first = module.attrs.first()?.pound_token.spans[0].start().line;
    Some((first, braces.span.close().end().line))
}

#[cfg(test)]
mod tests {
    use super::super::rust::parse;
    use super::super::tree::tests::sample;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        let (_folder, tree) = sample(&[(path, text)]);
        check(&parse(&tree).0)
    }

    #[test]
    fn a_source_file_of_401_lines_is_found_and_one_of_400_is_not() {
        assert_eq!(found("src/a.rs", &"const _: () = ();\n".repeat(400)), []);
        assert_eq!(found("src/a.rs", &"const _: () = ();\n".repeat(401)).len(), 1);
    }

    #[test]
    fn a_test_file_may_have_600_lines() {
        assert_eq!(found("tests/a.rs", &"const _: () = ();\n".repeat(600)), []);
        assert_eq!(found("tests/a.rs", &"const _: () = ();\n".repeat(601)).len(), 1);
    }

    #[test]
    fn docs_and_the_test_module_at_the_end_do_not_count() {
        let code = "const _: () = ();\n".repeat(390);
        let docs = "/// Words.\n".repeat(50);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "const _: () = ();\n".repeat(50));
        assert_eq!(found("src/a.rs", &format!("{code}{docs}const A: () = ();\n{tests}")), []);
    }

    #[test]
    fn a_module_that_is_not_for_tests_counts() {
        let code = "const _: () = ();\n".repeat(390);
        let module = format!("mod more {{\n{}}}\n", "const _: () = ();\n".repeat(50));
        assert_eq!(found("src/a.rs", &format!("{code}{module}")).len(), 1);
    }
}
