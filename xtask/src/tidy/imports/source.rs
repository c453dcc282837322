//! The sources of a crate: the file of each module, and the target of each import.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::rust::RustFile;
use super::reader::{Import, Reader};

/// A file below `src/`.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    /// The module of the file, from the crate's root; empty for the root.
    module: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// Whether all of it is compiled for tests only.
    pub(super) test: bool,
}

/// All files of one crate.
pub(super) struct Sources<'a> {
    /// The crate's `src/`.
    pub(super) folder: PathBuf,
    pub(super) files: Vec<Source<'a>>,
    /// Every module, including inline ones, and the index of its file in `files`.
    modules: BTreeMap<Vec<String>, usize>,
}

/// Groups the files below a `src/` by crate; a crate without its root there is left out.
pub(super) fn crates<'a>(rust: &'a [RustFile<'_>]) -> Vec<Sources<'a>> {
    let mut crates: BTreeMap<PathBuf, Vec<&'a RustFile<'_>>> = BTreeMap::new();
    for file in rust {
        let folder = file.file.path.ancestors().filter(|folder| folder.ends_with("src")).last();
        if let Some(folder) = folder {
            crates.entry(folder.to_owned()).or_default().push(file);
        }
    }
    crates.into_iter().map(|(folder, files)| Sources::new(folder, files)).collect()
}

impl<'a> Sources<'a> {
    fn new(folder: PathBuf, mut rust: Vec<&'a RustFile<'_>>) -> Sources<'a> {
        // A program beside a library is a separate crate, which imports the library by its name.
        let library = rust.iter().any(|file| file.file.path == folder.join("lib.rs"));
        let program = [folder.join("main.rs"), folder.join("bin")];
        rust.retain(|file| !library || !program.iter().any(|program| file.file.path.starts_with(program)));
        rust.sort_by_key(|file| module_of(&file.file.path, &folder));
        let mut sources = Sources { folder, files: Vec::new(), modules: BTreeMap::new() };
        let mut tests = Vec::new();
        for file in rust {
            tests.extend(sources.add(file));
        }
        for file in &mut sources.files {
            file.test |= tests.iter().any(|test| file.module.starts_with(test));
        }
        sources
    }

    /// Returns the modules for tests that the file declares.
    fn add(&mut self, rust: &'a RustFile<'_>) -> Vec<Vec<String>> {
        let place = self.files.len();
        let module = module_of(&rust.file.path, &self.folder);
        let read = Reader::read(&rust.syntax, &module);
        self.modules.insert(module.clone(), place);
        for module in &read.modules {
            self.modules.entry(module.path.clone()).or_insert(place);
        }
        self.files.push(Source { path: &rust.file.path, module, imports: read.imports, test: rust.is_tests() });
        read.modules.into_iter().filter(|module| module.test).map(|module| module.path).collect()
    }

    /// The crate's `lib.rs`, or the `main.rs` of a crate without one.
    pub(super) fn root(&self) -> Option<&Source<'a>> {
        self.files.iter().find(|file| file.module.is_empty())
    }

    pub(super) fn is_module(&self, path: &[String]) -> bool {
        self.modules.contains_key(path)
    }

    /// The path from the crate's root; `None` for an item of another crate.
    pub(super) fn resolve(&self, import: &Import) -> Option<Vec<String>> {
        let mut within = import.within.as_slice();
        let mut path = import.path.as_slice();
        match path.split_first()? {
            (first, rest) if first == "crate" => return Some(rest.to_owned()),
            (first, rest) if first == "self" => path = rest,
            (first, _) if first == "super" => {}
            (first, _) if self.is_module(&[within, std::slice::from_ref(first)].concat()) => {}
            _ => return None,
        }
        while let Some((_, rest)) = path.split_first().filter(|(first, _)| *first == "super") {
            within = within.split_last().map_or(&[][..], |(_, parents)| parents);
            path = rest;
        }
        Some([within, path].concat())
    }

    /// The file of the innermost module that this path, from the crate's root, names.
    pub(super) fn file_of(&self, path: &[String]) -> Option<usize> {
        (0..=path.len()).rev().find_map(|length| self.modules.get(&path[..length])).copied()
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
fn module_of(path: &Path, folder: &Path) -> Vec<String> {
    let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let mut module: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = module.len() == 1 && ["lib", "main"].contains(&module[0].as_str());
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}
