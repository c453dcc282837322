//! `cargo test` at the root tests every crate: the default members are all but `xtask`.

use cargo_metadata::{Metadata, Package};

use super::{Finding, TextFile, Tree};

/// A crate that is only a member would not be built by `cargo test`, and could break unnoticed.
pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.at(metadata.workspace_root.join("Cargo.toml").as_std_path()) else { return Vec::new() };
    let defaults = metadata.workspace_default_packages();
    let tested = |package: &Package| package.name == "xtask" || defaults.iter().any(|other| other.id == package.id);
    let forgotten = metadata.workspace_packages().into_iter().filter(|package| !tested(package));
    forgotten.map(|package| finding(manifest, package)).collect()
}

fn finding(manifest: &TextFile, package: &Package) -> Finding {
    let what = format!("`cargo test` leaves out `{}`", package.name);
    Finding::new(&manifest.path, manifest.line_starting("default-members"), what, "add its folder to `default-members`")
}

#[cfg(test)]
mod tests {
    use super::super::{metadata, tree::tests::sample};
    use super::*;

    fn found(defaults: &str) -> Vec<String> {
        let crate_named =
            |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        let (folder, tree) = sample(&[
            (
                "Cargo.toml",
                &format!("[workspace]\nmembers = [\"a\", \"b\", \"xtask\"]\ndefault-members = {defaults}\n"),
            ),
            ("a/Cargo.toml", &crate_named("a")),
            ("a/src/lib.rs", ""),
            ("b/Cargo.toml", &crate_named("b")),
            ("b/src/lib.rs", ""),
            ("xtask/Cargo.toml", &crate_named("xtask")),
            ("xtask/src/lib.rs", ""),
        ]);
        check(&metadata(folder.path()).unwrap(), &tree).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_crate_that_cargo_test_leaves_out_is_found_at_the_list() {
        let findings = found("[\"a\"]");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("Cargo.toml:3: `cargo test` leaves out `b`;"), "{findings:?}");
    }

    #[test]
    fn only_the_chores_may_be_left_out() {
        assert_eq!(found("[\"a\", \"b\"]"), [""; 0]);
    }
}
