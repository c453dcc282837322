//! Crates have floors: a crate depends only on crates of lower floors, not of the same or a higher one.

use std::collections::BTreeMap;

use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};

use super::{Finding, TextFile, Tree};

/// Dev-dependencies are free: a low crate may be tested with a higher one. `xtask` has no floor.
pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let packages: Vec<&Package> = metadata.workspace_packages().into_iter().filter(|p| p.name != "xtask").collect();
    let floors: BTreeMap<&str, u64> = packages.iter().filter_map(|p| Some((p.name.as_str(), floor(p)?))).collect();
    packages.iter().flat_map(|package| in_package(package, &floors, tree)).collect()
}

fn floor(package: &Package) -> Option<u64> {
    package.metadata.get("ampoule")?.get("floor")?.as_u64()
}

fn in_package(package: &Package, floors: &BTreeMap<&str, u64>, tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.at(package.manifest_path.as_std_path()) else { return Vec::new() };
    let Some(own) = floor(package) else { return vec![floorless(manifest, &package.name)] };
    let below = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    let too_high = below.filter_map(|dependency| {
        let floor = *floors.get(dependency.name.as_str()).filter(|floor| **floor >= own)?;
        Some(not_downward(manifest, package, dependency, (own, floor)))
    });
    too_high.collect()
}

fn floorless(manifest: &TextFile, name: &str) -> Finding {
    let what = format!("`{name}` does not say its floor");
    Finding::new(&manifest.path, 1, what, "add `[package.metadata.ampoule]` with `floor = N` (CONTRIBUTING.md)")
}

fn not_downward(manifest: &TextFile, package: &Package, to: &Dependency, (own, floor): (u64, u64)) -> Finding {
    let line = manifest.line_starting(&to.name);
    let what = format!("`{}` on floor {own} depends on `{}` on floor {floor}", package.name, to.name);
    Finding::new(&manifest.path, line, what, "move what both need to a lower floor, or turn the dependency round")
}

#[cfg(test)]
mod tests {
    use super::super::{metadata, tree::tests::sample};
    use super::*;

    fn manifest(name: &str, floor: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{floor}\n{rest}\n")
    }

    fn found(low: &str, high: &str) -> Vec<Finding> {
        let (folder, tree) = sample(&[
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"low\", \"high\"]\n"),
            ("low/Cargo.toml", low),
            ("low/src/lib.rs", ""),
            ("high/Cargo.toml", high),
            ("high/src/lib.rs", ""),
        ]);
        check(&metadata(folder.path()).unwrap(), &tree)
    }

    fn floor(number: u8) -> String {
        format!("[package.metadata.ampoule]\nfloor = {number}")
    }

    #[test]
    fn a_dependency_on_a_lower_floor_is_fine() {
        let high = manifest("high", &floor(1), "[dependencies]\nlow = { path = \"../low\" }");
        assert_eq!(found(&manifest("low", &floor(0), ""), &high), []);
    }

    #[test]
    fn a_dependency_sideways_or_up_is_found_at_its_line() {
        for kind in ["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            for own in [0, 1] {
                let low = manifest("low", &floor(own), &format!("[{kind}]\nhigh = {{ path = \"../high\" }}"));
                let findings = found(&low, &manifest("high", &floor(1), ""));
                assert_eq!(findings.len(), 1, "{kind} from floor {own}");
                assert_eq!((findings[0].path.to_str(), findings[0].line), (Some("low/Cargo.toml"), 8));
            }
        }
    }

    #[test]
    fn a_dev_dependency_may_point_up() {
        let low = manifest("low", &floor(0), "[dev-dependencies]\nhigh = { path = \"../high\" }");
        assert_eq!(found(&low, &manifest("high", &floor(1), "")), []);
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        let findings = found(&manifest("low", "", ""), &manifest("high", &floor(1), ""));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("`low` does not say its floor"), "{}", findings[0]);
    }
}
