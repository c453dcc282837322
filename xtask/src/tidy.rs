//! The house rules: reads the workspace once, checks every rule, and reports the findings.

mod commands;
mod commits;
mod defaults;
mod failure;
mod finding;
mod floors;
mod functions;
mod headers;
mod imports;
mod leftovers;
mod links;
mod manifests;
mod minimum;
mod paths;
mod prose;
mod rust;
mod sizes;
mod test_names;
mod tree;
mod whitespace;

use std::fmt;
use std::path::Path;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

pub(crate) use failure::Failure;
pub(crate) use finding::Finding;
pub(crate) use tree::{TextFile, Tree};

/// The result of a check: the broken rules, and informative figures.
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    figures: Vec<String>,
}

/// Checks the workspace that holds `folder`.
pub(crate) fn check(folder: &Path) -> Result<Report, Failure> {
    let metadata = metadata(folder)?;
    let tree = Tree::read(metadata.workspace_root.as_std_path())?;
    let (rust, mut findings) = rust::parse(&tree);
    let functions = functions::list(&rust);
    findings.extend(commands::check(&metadata, &tree, &rust));
    findings.extend(defaults::check(&metadata, &tree));
    findings.extend(floors::check(&metadata, &tree));
    findings.extend(manifests::check(&metadata, &tree));
    findings.extend(minimum::check(&metadata, &tree));
    findings.extend(sizes::check(&rust));
    findings.extend(functions::check(&functions));
    findings.extend(imports::check(&rust));
    for rule in [headers::check, leftovers::check, paths::check, whitespace::check, links::check, prose::check] {
        findings.extend(rule(&tree));
    }
    findings.extend(commits::check(metadata.workspace_root.as_std_path()));
    findings.sort();
    Ok(Report { findings, figures: vec![functions::figures(&functions), minimum::figures(&metadata)] })
}

/// All features, since a published crate must build with any of them.
fn metadata(folder: &Path) -> Result<Metadata, Failure> {
    Ok(MetadataCommand::new().current_dir(folder).features(CargoOpt::AllFeatures).exec()?)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        match self.findings.len() {
            0 => write!(f, "tidy: every rule holds"),
            1 => write!(f, "tidy: 1 finding"),
            several => write!(f, "tidy: {several} findings"),
        }
    }
}
