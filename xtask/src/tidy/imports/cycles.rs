//! The files of a crate import each other without cycles: each can be read after those that it imports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::super::finding::Finding;
use super::source::{Source, Sources};

/// For each file the files that it imports from, with the line of the first such import.
type Graph = Vec<BTreeMap<usize, usize>>;

/// Each group of files that import each other, in cycles of any length, is one finding with its shortest cycle. `mod`
/// declarations and code for tests do not count as imports.
pub(super) fn check(sources: &Sources<'_>) -> Vec<Finding> {
    let graph: Graph = sources.files.iter().map(|file| imports(sources, file)).collect();
    let reached: Vec<BTreeSet<usize>> = (0..graph.len()).map(|from| reach(&graph, from)).collect();
    let mut findings = Vec::new();
    for (file, others) in reached.iter().enumerate().filter(|(file, others)| others.contains(file)) {
        let knot: Vec<usize> = others.iter().copied().filter(|other| reached[*other].contains(&file)).collect();
        let shortest = knot.iter().filter_map(|start| cycle(&graph, *start)).min_by_key(Vec::len);
        // Reports the group at its first file.
        if let Some(cycle) = shortest.filter(|_| knot[0] == file) {
            findings.push(finding(sources, &graph, &cycle, knot.len()));
        }
    }
    findings
}

fn imports(sources: &Sources<'_>, file: &Source<'_>) -> BTreeMap<usize, usize> {
    let mut lines = BTreeMap::new();
    for import in file.imports.iter().filter(|import| import.declared && !import.test && !file.test) {
        let target = sources.resolve(import).and_then(|path| sources.file_of(&path));
        if let Some(target) = target.filter(|target| sources.files[*target].path != file.path) {
            lines.entry(target).or_insert(import.line);
        }
    }
    lines
}

fn reach(graph: &Graph, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        waiting.extend(graph[file].keys().filter(|next| reached.insert(**next)));
    }
    reached
}

/// The shortest cycle through the file, which is at the start but not repeated at the end.
fn cycle(graph: &Graph, start: usize) -> Option<Vec<usize>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph[*way.last()?].keys() {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push_back([way.as_slice(), &[*next]].concat());
            }
        }
    }
    None
}

fn finding(sources: &Sources<'_>, graph: &Graph, cycle: &[usize], knot: usize) -> Finding {
    let shown = |file: &usize| below(sources.files[*file].path, &sources.folder);
    let names: Vec<String> = cycle.iter().chain(&cycle[..1]).map(shown).collect();
    let line = graph[cycle[0]][&cycle[1]];
    let more = if knot > cycle.len() { format!(" (of {knot} files in cycles)") } else { String::new() };
    let what = format!("the imports form a cycle: {}{more}", names.join(" -> "));
    Finding::new(sources.files[cycle[0]].path, line, what, "move what both sides need to a file of its own")
}

fn below(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::super::rust::parse;
    use super::super::super::tree::tests::sample;
    use super::super::source::crates;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let (_folder, tree) = sample(files);
        let (rust, _) = parse(&tree);
        crates(&rust)
            .iter()
            .flat_map(check)
            .map(|finding| format!("{}:{} {}", finding.path.display(), finding.line, finding.what))
            .collect()
    }

    fn cycles(files: &[(&str, &str)]) -> Vec<String> {
        let start = "the imports form a cycle: ";
        found(files).into_iter().map(|finding| finding.split_once(start).unwrap().1.to_owned()).collect()
    }

    /// The cycles of a file whose module below it imports from it, if it has this text too.
    fn cycles_with(text: &str) -> Vec<String> {
        let one = format!("mod two;\n{text}\n");
        cycles(&[("src/lib.rs", "mod one;\n"), ("src/one.rs", &one), ("src/one/two.rs", "use super::A;\n")])
    }

    #[test]
    fn two_files_that_import_each_other_are_found_once_at_the_line() {
        let found = found(&[
            ("a/src/lib.rs", "mod one;\nmod two;\n"),
            ("a/src/one.rs", "\nuse crate::two::B;\n"),
            ("a/src/two.rs", "use crate::one::A;\n"),
        ]);
        assert_eq!(found, ["a/src/one.rs:2 the imports form a cycle: one.rs -> two.rs -> one.rs"]);
    }

    #[test]
    fn every_way_to_write_an_import_counts() {
        let ways = [
            "use crate::one::two::B;",
            "use crate::one::{two::{B}};",
            "use crate::one::two;",
            "use crate::one::two::{self as other};",
            "use crate::one::two::*;",
            "use self::two::B;",
            "use two::B;",
            "use super::one::two::B;",
            "pub use self::two::B as C;",
            "fn f() { use self::two::B; }",
            "mod inner { use super::two::B; }",
        ];
        for way in ways {
            assert_eq!(cycles_with(way), ["one.rs -> one/two.rs -> one.rs"], "{way}");
        }
    }

    #[test]
    fn imports_of_other_crates_do_not_count() {
        let ways = [
            "",
            "use std::two::B;",
            "use ::two::B;",
            "#[cfg(test)] use self::two::B;",
            "#[cfg(test)] mod tests { use super::two::B; }",
            "#[test] fn f() { use self::two::B; }",
            "fn f() -> self::two::B { crate::one::two::B }",
        ];
        for way in ways {
            assert_eq!(cycles_with(way), [""; 0], "{way}");
        }
    }

    #[test]
    fn a_module_that_is_for_tests_only_may_import_anything() {
        for declared in ["#[cfg(test)]\nmod support;", "#[cfg(test)]\nmod tests;"] {
            let name = if declared.contains("support") { "src/one/support.rs" } else { "src/one/tests.rs" };
            let one = format!("{declared}\nuse self::support::B;\nuse self::tests::B;\n");
            assert_eq!(cycles(&[("src/one.rs", &one), (name, "use super::A;\n"), ("src/lib.rs", "")]), [""; 0]);
        }
    }

    #[test]
    fn files_in_several_cycles_are_one_finding_with_the_shortest() {
        let found = cycles(&[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
            ("src/a.rs", "use crate::b::B;\n"),
            ("src/b.rs", "use crate::c::C;\n"),
            ("src/c.rs", "use crate::a::A;\nuse crate::d::D;\n"),
            ("src/d.rs", "use crate::c::C;\n"),
        ]);
        assert_eq!(found, ["c.rs -> d.rs -> c.rs (of 4 files in cycles)"]);
    }

    #[test]
    fn separate_cycles_are_two_findings() {
        let found = cycles(&[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("src/a.rs", "use crate::A;\n"),
            ("src/b.rs", "use crate::c::C;\n"),
            ("src/c.rs", "use crate::b::B;\n"),
            ("other/src/main.rs", "mod a;\nuse crate::a::A;\n"),
            ("other/src/a/mod.rs", "use super::main;\n"),
        ]);
        assert_eq!(found, ["main.rs -> a/mod.rs -> main.rs", "b.rs -> c.rs -> b.rs"]);
    }

    #[test]
    fn a_program_beside_a_library_is_no_part_of_it() {
        let files = [("src/lib.rs", "mod a;\nuse self::a::A;\n"), ("src/a.rs", ""), ("src/main.rs", "use super::A;\n")];
        assert_eq!(cycles(&files), [""; 0]);
    }
}
