//! No unfinished code: no stub, no debugging aid, no note of work to be done.

use super::{Finding, TextFile, Tree};

// Spelt in halves, so that the rule does not find itself.
const MACROS: [&str; 3] = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("db", "g!")];
const NOTES: [&str; 3] = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];

/// Clippy denies the macros in the code that it compiles; this rule also finds them in docs and behind a `cfg`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(in_file).collect()
}

fn in_file(file: &TextFile) -> Vec<Finding> {
    let words: &[&[&str]] = if file.is("rs") { &[&MACROS, &NOTES] } else { &[&NOTES] };
    let words: Vec<&str> = words.concat();
    let hits = file.lines().flat_map(|(number, line)| {
        words.iter().filter(|word| has_word(line, word)).map(move |word| finding(file, number, word))
    });
    hits.collect()
}

fn finding(file: &TextFile, number: usize, word: &str) -> Finding {
    Finding::new(&file.path, number, format!("`{word}` is left here"), "finish it, or leave it out")
}

/// Whether the line contains `word` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let after = &line[start + word.len()..];
        !line[..start].ends_with(part) && (word.ends_with('!') || !after.starts_with(part))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn each_word_is_found_with_its_line() {
        for word in MACROS.iter().chain(&NOTES) {
            let text = format!("//! An idea.\n// {word}(later)\n");
            let (_folder, tree) = sample(&[("a.rs", &text)]);
            let lines: Vec<_> = check(&tree).into_iter().map(|finding| finding.line).collect();
            assert_eq!(lines, [2], "{word}");
        }
    }

    #[test]
    fn notes_are_found_in_pages_and_settings() {
        let text = format!("{}: later\n", NOTES[0]);
        let (_folder, tree) = sample(&[("a.md", &text), ("a.toml", &text), (".ci/run", &text)]);
        assert_eq!(check(&tree).len(), 3);
    }

    #[test]
    fn a_longer_word_is_not_found() {
        let (_folder, tree) = sample(&[("a.rs", concat!("mkdtemp XX", "XXXX AUTO", "DO_LIST my_to", "do!\n"))]);
        assert_eq!(check(&tree), []);
    }
}
