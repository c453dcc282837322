//! Imports point one way: no circle among a crate's files, and no way round through the crate's root.

mod circles;
mod reader;
mod root;
mod source;

use super::finding::Finding;
use super::rust::RustFile;

/// Reads the sources of each crate (`src/`) and puts both rules to them.
pub(crate) fn check(rust: &[RustFile<'_>]) -> Vec<Finding> {
    let crates = source::crates(rust);
    crates.iter().flat_map(|sources| [circles::check(sources), root::check(sources)]).flatten().collect()
}
