//! The subjects of commits are short.

use std::path::Path;
use std::process::Command;

use super::Finding;

/// The space for a subject in `git log --oneline` on 80 columns.
const MAX_SUBJECT: usize = 72;

/// The commits that are checked: those of a change that is about to land. Older ones cannot be changed.
const COMMITS: &str = "-8";

/// Without git, or outside a repository, there is nothing to check.
pub(crate) fn check(root: &Path) -> Vec<Finding> {
    let log = Command::new("git").args(["log", COMMITS, "--no-merges", "--format=%h %s"]).current_dir(root).output();
    let text = log.map(|log| String::from_utf8_lossy(&log.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')).filter_map(in_subject).collect()
}

fn in_subject((hash, subject): (&str, &str)) -> Option<Finding> {
    let len = subject.chars().count();
    let what = if len > MAX_SUBJECT {
        format!("the subject has {len} characters")
    } else if subject.ends_with('.') {
        "the subject ends with a full stop".to_owned()
    } else {
        return None;
    };
    let remedy = format!("write at most {MAX_SUBJECT} characters, in the imperative, and the reason below it");
    Some(Finding::new(Path::new(hash), 1, what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_and_has_no_full_stop() {
        assert_eq!(in_subject(("abc", &"x".repeat(72))), None);
        assert!(in_subject(("abc", &"x".repeat(73))).is_some());
        assert!(in_subject(("abc", "Mend it.")).is_some());
    }
}
