//! Fills templates and writes the files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::Failure;

/// Writes a file that does not exist yet, and creates its folders.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let unable = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure(format!("{} already exists and was not changed", path.display())),
        _ => Failure(format!("{} cannot be written: {error}", path.display())),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unable)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(unable)?;
    file.write_all(text.as_bytes()).map_err(unable)
}

/// Replaces each `{{word}}` of a template by its value.
pub(super) fn fill(template: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(&format!("{{{{{word}}}}}"), value))
}
