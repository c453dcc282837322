//! Imports point one way: the files of a crate have no cycles, and import from the defining module, not through the
//! root.

mod cycles;
mod reader;
mod root;
mod source;

use super::finding::Finding;
use super::rust::RustFile;

/// Reads the sources of each crate (`src/`) and checks both rules.
pub(crate) fn check(rust: &[RustFile<'_>]) -> Vec<Finding> {
    let crates = source::crates(rust);
    crates.iter().flat_map(|sources| [cycles::check(sources), root::check(sources)]).flatten().collect()
}
