//! Prose is plain technical English: systems are not persons, and each sentence is understood at the first reading.

use super::{Finding, TextFile, Tree};

/// Each word or phrase that is not used, and what to write. Spelt in halves, so that the rule does not find itself.
const PHRASES: [(&str, &str); 21] = [
    (concat!("who", "ever"), "name what acts: the caller, the client, an attacker"),
    (concat!("some", "body"), "name what acts: the caller, the client, an attacker"),
    (concat!("any", "body"), "name what acts, or use the passive"),
    (concat!("no", "body"), "say what does not happen: \"an untouched session\""),
    (concat!("h", "e"), "systems are not persons: name the thing again, or write \"it\""),
    (concat!("hi", "s"), "systems are not persons: write \"its\" or \"the\""),
    (concat!("hi", "m"), "systems are not persons: name the thing again, or write \"it\""),
    (concat!("sh", "e"), "systems are not persons: name the thing again, or write \"it\""),
    (concat!("as long as ", "you like"), "say what the value disables"),
    (concat!("is left ", "alone"), "say what is not done, and for how long"),
    (concat!("has ", "not 1 to"), "say what was expected"),
    (concat!("has died ", "on us"), "say that it is closed"),
    (concat!("passed ", "over"), "write \"ignored\" or \"skipped\""),
    (concat!("goes ", "on"), "write \"continues\", or what works meanwhile"),
    (concat!("go ", "on"), "write \"continue\", or what works meanwhile"),
    (concat!("made ", "anew"), "write \"created again\""),
    (concat!("stands ", "before"), "write \"precedes\", or what is around what"),
    (concat!("stands ", "behind"), "write \"follows\""),
    (concat!("stands ", "beside"), "write what conflicts, or what is there too"),
    (concat!("stands ", "twice"), "write \"duplicate\""),
    (concat!("so many ", "times"), "name the number"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(in_file).collect()
}

fn in_file(file: &TextFile) -> Vec<Finding> {
    let hits = file.lines().flat_map(|(number, line)| {
        let line = line.to_lowercase();
        let found = PHRASES.into_iter().filter(move |(phrase, _)| has_phrase(&line, phrase));
        found.map(move |(phrase, remedy)| Finding::new(&file.path, number, format!("`{phrase}`"), remedy))
    });
    hits.collect()
}

/// Whether the line contains the phrase as whole words. A phrase in quotes is data, such as a language tag.
fn has_phrase(line: &str, phrase: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '"';
    line.match_indices(phrase)
        .any(|(start, _)| !line[..start].ends_with(part) && !line[start + phrase.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    #[test]
    fn each_phrase_is_found_with_its_line() {
        for (phrase, _) in PHRASES {
            let mut upper = phrase.to_owned();
            upper[..1].make_ascii_uppercase();
            for text in [format!("//! An idea.\n/// {phrase}, then.\n"), format!("# A page\n{upper} begins.\n")] {
                let (_folder, tree) = sample(&[("a.md", &text)]);
                let lines: Vec<_> = check(&tree).into_iter().map(|finding| finding.line).collect();
                assert_eq!(lines, [2], "{phrase}");
            }
        }
    }

    #[test]
    fn longer_words_and_data_are_not_found() {
        let text = concat!("the cache of this h", "imself (\"h", "e\", \"rtl\") h", "e_is\n");
        let (_folder, tree) = sample(&[("a.rs", text)]);
        assert_eq!(check(&tree), []);
    }
}
