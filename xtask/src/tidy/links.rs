//! A link between pages leads to an existing file, and to an existing heading.

use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Finding, TextFile, Tree};

/// Checks the links and pictures of every Markdown page, except URLs.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.of_kind("md").flat_map(|page| in_page(tree, page)).collect()
}

fn in_page(tree: &Tree, page: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (event, place) in Parser::new_ext(&page.text, Options::all()).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else { continue };
        let (missing, remedy) = if target(&tree.root, page, &dest_url).is_some_and(|target| !target.exists()) {
            ("file", "mend the path, or write the file")
        } else if !has_heading(tree, page, &dest_url) {
            ("heading", "name a heading of that page, in lower case with - between its words")
        } else {
            continue;
        };
        let line = page.text[..place.start].matches('\n').count() + 1;
        let what = format!("the link `{dest_url}` leads to no {missing}");
        findings.push(Finding::new(&page.path, line, what, remedy));
    }
    findings
}

/// Whether the fragment of a link is a heading of its page.
fn has_heading(tree: &Tree, page: &TextFile, link: &str) -> bool {
    let Some((path, place)) = link.split_once('#').filter(|(path, _)| !has_scheme(path)) else { return true };
    let other = || target(&tree.root, page, link).and_then(|target| tree.at(&target));
    let page = if path.is_empty() { Some(page) } else { other().filter(|file| file.is("md")) };
    page.is_none_or(|page| headings(page).iter().any(|heading| heading == place))
}

/// The anchors of a page's headings, as on GitHub and in mdBook.
fn headings(page: &TextFile) -> Vec<String> {
    let (mut headings, mut is_inside) = (Vec::new(), false);
    for event in Parser::new_ext(&page.text, Options::all()) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                headings.push(String::new());
                is_inside = true;
            }
            Event::End(TagEnd::Heading(_)) => is_inside = false,
            Event::Text(text) | Event::Code(text) if is_inside => {
                let heading: &mut String = headings.last_mut().expect("a heading has begun");
                heading.push_str(&text);
            }
            _ => {}
        }
    }
    headings.iter().map(|heading| in_link(heading)).collect()
}

fn in_link(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

/// The file that a link refers to; `None` for a URL and for a heading of the same page.
fn target(root: &Path, page: &TextFile, link: &str) -> Option<PathBuf> {
    let path = link.split(['#', '?']).next().filter(|path| !path.is_empty() && !has_scheme(path))?;
    let folder = page.path.parent().unwrap_or(Path::new(""));
    Some(path.strip_prefix('/').map_or_else(|| root.join(folder).join(path), |path| root.join(path)))
}

/// RFC 3986, section 3.1: a letter, then letters, digits, `+`, `-` or `.`, then a colon.
fn has_scheme(link: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    link.starts_with("//") || link.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::sample;
    use super::*;

    fn lines(page: &str) -> Vec<usize> {
        let (_folder, tree) =
            sample(&[("docs/page.md", page), ("docs/there.md", "# A `part`, here\n"), ("top.md", "")]);
        check(&tree).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_link_to_a_missing_file_is_found_with_its_line() {
        assert_eq!(
            lines("# A page\n\n[gone](gone.md)\n\n![gone](gone.png)\n\n[by name]\n\n[by name]: gone.md\n"),
            [3, 5, 7]
        );
    }

    #[test]
    fn a_link_to_a_file_a_place_or_another_site_is_not() {
        let page = "# Here\n\n[a](there.md) [b](there.md#a-part-here) [c](../top.md) [d](/top.md) [e](#here)\n";
        assert_eq!(lines(page), [0; 0]);
        assert_eq!(lines("[a](https://example.org/gone) <mailto:a@example.org> [b](//example.org/gone)\n"), [0; 0]);
    }

    #[test]
    fn a_link_to_a_heading_that_is_missing_is_found() {
        assert_eq!(lines("# Here\n\n[a](#there)\n\n[b](there.md#here)\n"), [3, 5]);
    }

    #[test]
    fn code_is_not_read_for_links() {
        assert_eq!(lines("`[a](gone.md)`\n\n```\n[b](gone.md)\n```\n"), [0; 0]);
    }
}
