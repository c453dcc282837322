//! A module imports an item from the defining module; the root's re-exports are for other crates.

use std::collections::BTreeMap;

use super::super::finding::Finding;
use super::reader::Import;
use super::source::{Source, Sources};

/// Finds `crate::Name`, in declarations and in the code, if the root only imports the name. Items that the root defines
/// are allowed. The tests of a module are checked too.
pub(super) fn check(sources: &Sources<'_>) -> Vec<Finding> {
    let Some(root) = sources.root() else { return Vec::new() };
    let names = names(sources, root);
    let others = sources.files.iter().filter(|file| file.path != root.path);
    let mut findings: Vec<Finding> = others
        .flat_map(|file| file.imports.iter().filter_map(|import| finding(sources, &names, file, import)))
        .collect();
    findings.dedup();
    findings
}

/// The names that the root imports, and the whole path of each.
fn names(sources: &Sources<'_>, root: &Source<'_>) -> BTreeMap<String, String> {
    let own = root.imports.iter().filter(|import| import.declared && import.within.is_empty());
    own.map(|import| (import.name.clone(), whole(sources, import))).collect()
}

fn whole(sources: &Sources<'_>, import: &Import) -> String {
    let inside = sources.resolve(import).map(|path| format!("crate::{}", path.join("::")));
    inside.unwrap_or_else(|| import.path.join("::"))
}

fn finding(
    sources: &Sources<'_>,
    names: &BTreeMap<String, String>,
    file: &Source<'_>,
    import: &Import,
) -> Option<Finding> {
    let path = sources.resolve(import)?;
    let name = path.first().filter(|_| !sources.is_module(&path[..1]))?;
    let defined = names.get(name).filter(|_| name != "*")?;
    let what = format!("`{}` goes through the crate's root", import.path.join("::"));
    Some(Finding::new(file.path, import.line, what, format!("import it from its module, as `{defined}`")))
}

#[cfg(test)]
mod tests {
    use super::super::super::rust::parse;
    use super::super::super::tree::tests::sample;
    use super::super::source::crates;
    use super::*;

    const ROOT: &str = "mod a;\nmod b;\npub mod wire;\npub use self::a::{Error, inner::Kind as Sort};\n\
        #[cfg(feature = \"b\")]\npub use b::Thing;\npub use bytes::Bytes;\nuse other::*;\n\
        pub struct Store;\n#[macro_export]\nmacro_rules! made { () => {} }\nfn help() {}\n";

    fn found(module: &str) -> Vec<String> {
        let files = [("src/lib.rs", ROOT), ("src/a.rs", ""), ("src/b.rs", module), ("src/wire.rs", "")];
        let (_folder, tree) = sample(&files);
        let (rust, _) = parse(&tree);
        crates(&rust).iter().flat_map(check).map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_name_of_the_root_is_found_with_the_module_to_import_from() {
        let expected = [("Error", "crate::a::Error"), ("Sort", "crate::a::inner::Kind"), ("Bytes", "bytes::Bytes")];
        for (name, defined) in expected {
            for start in ["crate", "super"] {
                let line = format!(
                    "src/b.rs:2: `{start}::{name}` goes through the crate's root; import it from its module, as `{defined}`"
                );
                assert_eq!(found(&format!("\nuse {start}::{name};\n")), [line]);
            }
        }
    }

    #[test]
    fn every_name_of_a_group_is_checked() {
        assert_eq!(found("use crate::{wire, Error as E, Thing::{Left, Right}, Store};\n").len(), 3);
    }

    #[test]
    fn paths_in_the_code_count() {
        assert_eq!(found("fn f() -> Result<(), crate::Error> {\nErr(super::Error::new())\n}\n").len(), 2);
        assert_eq!(found("/// [`crate::Error`] is meant.\nfn f() {}\n"), [""; 0]);
    }

    #[test]
    fn tests_import_from_the_module_too() {
        assert_eq!(found("#[cfg(test)]\nmod tests {\nuse crate::Error;\n}\n").len(), 1);
    }

    #[test]
    fn modules_and_what_the_root_defines_are_fine() {
        let ways = ["crate::wire", "crate::a::Error", "crate::Store", "crate::{help, made}", "super::wire::Line"];
        for way in ways {
            assert_eq!(found(&format!("use {way};\n")), [""; 0], "{way}");
        }
        assert_eq!(found("struct Error;\nmod tests {\nuse super::Error;\n}\n"), [""; 0]);
    }

    #[test]
    fn the_root_itself_may_name_what_it_imports() {
        let (_folder, tree) =
            sample(&[("src/main.rs", "mod a;\nuse self::a::A;\nfn f() -> crate::A {}\n"), ("src/a.rs", "")]);
        let (rust, _) = parse(&tree);
        assert_eq!(crates(&rust).iter().flat_map(check).count(), 0);
    }
}
