//! The `rust-version` is at least that of all dependencies.

use std::collections::BTreeSet;

use cargo_metadata::semver::Version;
use cargo_metadata::{DependencyKind, Metadata, NodeDep, Package, PackageId};

use super::{Finding, Tree};

/// Compares the workspace's `rust-version` with those of the published crates' dependencies.
pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.at(metadata.workspace_root.join("Cargo.toml").as_std_path()) else { return Vec::new() };
    let line = manifest.line_starting("rust-version");
    match (stated(metadata), highest(metadata)) {
        (None, _) => {
            vec![Finding::new(&manifest.path, line, "no crate states a rust-version", "state it for the workspace")]
        }
        (Some(ours), Some((theirs, package))) if ours < theirs => {
            let what = format!("rust-version is {ours}, but `{}` asks for {theirs}", package.name);
            vec![Finding::new(&manifest.path, line, what, "raise it, or take an older release of that dependency")]
        }
        _ => Vec::new(),
    }
}

/// Shows the lowest `rust-version` that the dependencies allow; informative.
pub(crate) fn figures(metadata: &Metadata) -> String {
    let ours = stated(metadata).map_or_else(|| "not stated".to_owned(), |version| version.to_string());
    let theirs = highest(metadata).map_or_else(
        || "the dependencies ask for none".to_owned(),
        |(version, package)| format!("the dependencies ask for {version} ({} {})", package.name, package.version),
    );
    format!("rust-version: {ours}; {theirs}")
}

/// The lowest `rust-version` of our published crates.
fn stated(metadata: &Metadata) -> Option<Version> {
    published(metadata).filter_map(|package| package.rust_version.clone()).min()
}

fn published(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    // In the metadata, `publish = false` is an empty list of registries.
    metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| package.publish.as_ref().is_none_or(|list| !list.is_empty()))
}

fn highest(metadata: &Metadata) -> Option<(Version, &Package)> {
    let packages = compiled(metadata).into_iter().map(|id| &metadata[id]);
    let foreign = packages.filter(|package| !metadata.workspace_members.contains(&package.id));
    foreign.filter_map(|package| Some((package.rust_version.clone()?, package))).max_by(|a, b| a.0.cmp(&b.0))
}

/// All crates that are compiled for a user of the published crates: transitive dependencies, without those of tests.
fn compiled(metadata: &Metadata) -> BTreeSet<&PackageId> {
    let nodes = metadata.resolve.as_ref().map_or(&[][..], |resolve| &resolve.nodes);
    let mut waiting: Vec<&PackageId> = published(metadata).map(|package| &package.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            let deps = nodes.iter().filter(|node| node.id == *id).flat_map(|node| &node.deps);
            waiting.extend(deps.filter(|dep| is_compiled(dep)).map(|dep| &dep.pkg));
        }
    }
    seen
}

fn is_compiled(dependency: &NodeDep) -> bool {
    dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
}

#[cfg(test)]
mod tests {
    use super::super::{metadata, tree::tests::sample};
    use super::*;

    const OURS: &str = "[package]\nname = \"ours\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    const THEIRS: &str =
        "[package]\nname = \"theirs\"\nversion = \"0.1.0\"\nedition = \"2024\"\nrust-version = \"1.87\"\n[workspace]\n";

    fn found(rest: &str) -> (Vec<String>, String) {
        let (folder, tree) = sample(&[
            ("Cargo.toml", &format!("{OURS}{rest}\n[workspace]\nexclude = [\"theirs\"]\n")),
            ("src/lib.rs", ""),
            ("theirs/Cargo.toml", THEIRS),
            ("theirs/src/lib.rs", ""),
        ]);
        let metadata = metadata(folder.path()).unwrap();
        (check(&metadata, &tree).into_iter().map(|finding| finding.to_string()).collect(), figures(&metadata))
    }

    #[test]
    fn a_version_older_than_a_dependency_s_is_found_at_its_line() {
        for kind in ["dependencies", "build-dependencies"] {
            let (findings, _) = found(&format!("rust-version = \"1.85\"\n[{kind}]\ntheirs = {{ path = \"theirs\" }}"));
            let start = "Cargo.toml:5: rust-version is 1.85.0, but `theirs` asks for 1.87.0;";
            assert!(findings.len() == 1 && findings[0].starts_with(start), "{kind}: {findings:?}");
        }
    }

    #[test]
    fn an_equal_version_is_fine_and_the_figure_names_the_dependency() {
        let (findings, figures) = found("rust-version = \"1.87\"\n[dependencies]\ntheirs = { path = \"theirs\" }");
        assert_eq!(findings, [""; 0]);
        assert_eq!(figures, "rust-version: 1.87.0; the dependencies ask for 1.87.0 (theirs 0.1.0)");
    }

    #[test]
    fn dev_dependencies_and_unpublished_crates_do_not_count() {
        assert_eq!(found("rust-version = \"1.85\"\n[dev-dependencies]\ntheirs = { path = \"theirs\" }").0, [""; 0]);
        let (_, figures) =
            found("publish = false\nrust-version = \"1.85\"\n[dependencies]\ntheirs = { path = \"theirs\" }");
        assert_eq!(figures, "rust-version: not stated; the dependencies ask for none");
    }

    #[test]
    fn a_missing_version_is_found() {
        assert_eq!(found("").0.len(), 1);
    }
}
