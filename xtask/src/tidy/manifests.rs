//! Every crate uses the workspace's lints and has a description.

use cargo_metadata::{Metadata, Package};

use super::{Finding, TextFile, Tree};

/// The lints include `missing_docs`; a crate without them could publish undocumented items unnoticed.
pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let packages = metadata.workspace_packages().into_iter();
    let with_manifest = packages.filter_map(|package| Some((package, tree.at(package.manifest_path.as_std_path())?)));
    with_manifest
        .flat_map(|(package, manifest)| [lints(package, manifest), description(package, manifest)])
        .flatten()
        .collect()
}

fn lints(package: &Package, manifest: &TextFile) -> Option<Finding> {
    let table = manifest.text.parse::<toml::Table>().ok();
    let inherited = table.as_ref().and_then(|table| table.get("lints")?.get("workspace")?.as_bool());
    let what = format!("`{}` does not take the workspace's lints", package.name);
    let remedy = "add `[lints]` with `workspace = true`";
    (inherited != Some(true)).then(|| Finding::new(&manifest.path, manifest.line_starting("[lints]"), what, remedy))
}

fn description(package: &Package, manifest: &TextFile) -> Option<Finding> {
    let missing = package.description.as_deref().is_none_or(|text| text.trim().is_empty());
    let what = format!("`{}` has no description", package.name);
    missing.then(|| Finding::new(&manifest.path, 1, what, "say in one sentence what it is: `description = \"…\"`"))
}

#[cfg(test)]
mod tests {
    use super::super::{metadata, tree::tests::sample};
    use super::*;

    fn found(manifest: &str) -> Vec<String> {
        let head =
            "[workspace]\n[workspace.lints.rust]\n[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        let (folder, tree) = sample(&[("Cargo.toml", &format!("{head}{manifest}")), ("src/lib.rs", "")]);
        check(&metadata(folder.path()).unwrap(), &tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_crate_with_both_is_fine() {
        assert_eq!(found("description = \"A crate\"\n[lints]\nworkspace = true\n"), [""; 0]);
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        assert_eq!(found("description = \"A crate\"\n"), ["`a` does not take the workspace's lints"]);
        let own = "description = \"A crate\"\n[lints.rust]\nmissing_docs = \"allow\"\n";
        assert_eq!(found(own), ["`a` does not take the workspace's lints"]);
    }

    #[test]
    fn a_crate_without_a_description_is_found() {
        assert_eq!(found("description = \" \"\n[lints]\nworkspace = true\n"), ["`a` has no description"]);
        assert_eq!(found("[lints]\nworkspace = true\n"), ["`a` has no description"]);
    }
}
