//! The text files of the workspace, read once: those that git does not ignore and that a rule checks.

use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::failure::Failure;

const KINDS: [&str; 9] = ["rs", "md", "toml", "ini", "sh", "html", "css", "js", "sql"];

/// A file and its path below the root.
pub(crate) struct TextFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Every text file of the workspace.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<TextFile>,
}

impl Tree {
    /// Reads the files that `.gitignore` does not exclude. A file of these kinds that is not UTF-8 is an error.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for entry in walk(root) {
            let entry = entry?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) && wanted(entry.path()) {
                files.push(text_file(root, entry.path())?);
            }
        }
        Ok(Self { root: root.to_owned(), files })
    }

    /// The files with this extension.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a TextFile> {
        self.files.iter().filter(move |file| file.is(kind))
    }

    /// The file at this absolute path.
    pub(crate) fn at(&self, absolute: &Path) -> Option<&TextFile> {
        let path = absolute.strip_prefix(&self.root).ok()?;
        self.files.iter().find(|file| file.path == path)
    }
}

impl TextFile {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.path.extension().is_some_and(|extension| extension == kind)
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Returns the number of the first line that starts with `start`, or 1 if no line does, so that a finding still
    /// points into the file.
    pub(crate) fn line_starting(&self, start: &str) -> usize {
        self.lines().find(|(_, line)| line.starts_with(start)).map_or(1, |(number, _)| number)
    }
}

/// Hidden folders are included (`.ci`, `.cargo`); ignore files above the root are not used, so that all clones agree.
fn walk(root: &Path) -> ignore::Walk {
    let mut walk = WalkBuilder::new(root);
    walk.hidden(false).parents(false).git_global(false).require_git(false);
    walk.filter_entry(|entry| entry.file_name() != ".git").sort_by_file_path(Ord::cmp).build()
}

/// The scripts of `.ci` have no extension.
fn wanted(path: &Path) -> bool {
    let script = || path.parent().and_then(Path::file_name).is_some_and(|folder| folder == ".ci");
    path.extension().and_then(|kind| kind.to_str()).map_or_else(script, |kind| KINDS.contains(&kind))
}

fn text_file(root: &Path, path: &Path) -> Result<TextFile, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(TextFile { path: path.strip_prefix(root)?.to_owned(), text })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes the files into a folder that lives as long as the first value, and reads them back.
    pub(crate) fn sample(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let tree = Tree::read(folder.path()).unwrap();
        (folder, tree)
    }

    #[test]
    fn ignored_files_and_foreign_kinds_are_left_out() {
        let (_folder, tree) = sample(&[
            (".gitignore", "target/\n"),
            ("target/made.rs", ""),
            ("src/lib.rs", ""),
            (".ci/run", ""),
            ("picture.png", "\u{0}"),
        ]);
        let paths: Vec<_> = tree.files.iter().map(|file| file.path.to_str().unwrap()).collect();
        assert_eq!(paths, [".ci/run", "src/lib.rs"]);
    }

    #[test]
    fn a_file_that_is_not_text_is_an_error_that_names_it() {
        let (folder, _) = sample(&[]);
        fs::write(folder.path().join("bad.rs"), [0xff, 0xfe]).unwrap();
        let error = Tree::read(folder.path()).err().expect("read");
        assert!(error.to_string().contains("bad.rs"), "{error}");
    }
}
