//! No absolute path of one machine: it would not work elsewhere.

use super::{Finding, TextFile, Tree};

// Spelt in halves, so that the rule does not find itself.
const FOLDERS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];
const HOME: &str = concat!("/ho", "me/");

/// The path of a URL (`/home/about`) is not a finding: below the home folder, a user's name and a further part are
/// required.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(in_file).collect()
}

fn in_file(file: &TextFile) -> impl Iterator<Item = Finding> + '_ {
    file.lines().filter(|(_, line)| has_machine_path(line)).map(|(number, _)| {
        let remedy = "use a path below the workspace, a temporary folder or a setting";
        Finding::new(&file.path, number, "an absolute path of one machine", remedy)
    })
}

fn has_machine_path(line: &str) -> bool {
    let below_home = |rest: &str| rest.split_once('/').is_some_and(|(name, below)| is_name(name) && begins(below));
    FOLDERS.iter().any(|folder| absolute(line, folder).any(begins)) || absolute(line, HOME).any(below_home)
}

/// The text after each `folder` in the line that starts a path.
fn absolute<'a>(line: &'a str, folder: &'a str) -> impl Iterator<Item = &'a str> {
    let middle = |letter: char| letter.is_alphanumeric() || "_-./)}>*~$".contains(letter);
    let starts = line.match_indices(folder).filter(move |(start, _)| !line[..*start].ends_with(middle));
    starts.map(move |(start, _)| &line[start + folder.len()..])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
}

fn begins(path: &str) -> bool {
    path.starts_with(|letter: char| letter.is_alphanumeric() || "_-.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    fn found(text: &str) -> usize {
        let (_folder, tree) = sample(&[("a.md", text)]);
        check(&tree).len()
    }

    #[test]
    fn a_path_of_a_machine_is_found() {
        assert_eq!(found(concat!("cd /ro", "ot/project\n")), 1);
        assert_eq!(found(concat!("\"/wo", "rk/main\"\n")), 1);
        assert_eq!(found(concat!("data_dir = /ho", "me/ann/data\n")), 1);
    }

    #[test]
    fn a_url_and_a_path_below_something_are_not() {
        assert_eq!(found("GET /home/about\n"), 0);
        assert_eq!(found("/home = home\n"), 0);
        assert_eq!(found("target/work/main and %(here)s/root/x and http://localhost:5000/work/a\n"), 0);
    }
}
