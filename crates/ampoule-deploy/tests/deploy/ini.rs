//! Parsing: the same result as Python's ConfigParser, no panic for any text.

use ampoule_deploy::{load, parse};
use proptest::prelude::*;

use crate::support::{given_to, registry, write};

/// Text below `[app:main]`, and the options that Paste Deploy 3.1 on Python 3.11 passes to the app.
const READ_AS_PYTHON_READS_IT: &[(&str, &str)] = &[
    ("use: egg:echo\nKey = 1\nkey : 2\n", "[Key=1,key=2|]"),
    ("use = egg:echo\na = x;y # z\n; no = 1\n  # no = 2\nb=\n", "[a=x;y # z,b=|]"),
    ("use = egg:echo\nlong = x\n  y\n\n  z\n\nb=1\n", "[long=x\ny\n\nz,b=1|]"),
    ("use = egg:echo\nlong = x\n# c\n  y\n  ; d\n  z\n", "[long=x\ny\nz|]"),
    ("  use = egg:echo\n  a = 1\n    2\n", "[a=1\n2|]"),
    ("use = egg:echo\nurl = http://a/?b=c:d\n", "[url=http://a/?b=c:d|]"),
    ("use = egg:echo\r\na = 1\r\n  2\r\n", "[a=1\n2|]"),
    ("use = egg:echo\na = 1\n  [app:b]\n  c = 2\n", "[a=1\n[app:b]\nc = 2|]"),
    ("use = egg:echo\na b = 1\n", "[a b=1|]"),
];

#[tokio::test]
async fn text_is_parsed_as_by_python() {
    for (text, expected) in READ_AS_PYTHON_READS_IT {
        let text = format!("[app:main]\n{text}");
        assert_eq!(given_to(&[("site.ini", &text)], &[]).await, *expected, "{text}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_a_comment_after_a_section_are_accepted() {
    let text = "\u{feff}[app:main] ; the site\nuse = egg:echo\n";
    assert_eq!(given_to(&[("site.ini", text)], &[]).await, "[|]");
    assert_eq!(given_to(&[("site.ini", "[ app : main ]\nuse = egg:echo\n")], &[]).await, "[|]");
}

#[test]
fn a_value_that_starts_on_the_next_line_has_no_empty_first_line() {
    let ini = parse("[a]\nb =\n  c\n  d\n", "x.ini").unwrap();
    assert_eq!(ini.get("a", "b"), Some("c\nd"));
    assert_eq!((ini.get("a", "c"), ini.get("b", "b")), (None, None));
    assert_eq!(ini.sections().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_file_in_another_encoding_is_a_fault_with_its_line() {
    let (dir, path) = write(&[("site.ini", "")]);
    std::fs::write(&path, b"[app:main]\nuse = egg:echo\nname = Andr\xe9\n").unwrap();
    let said = load(&path, "main", &[], &registry()).unwrap_err().to_string();
    let said = said.replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(said, "site.ini:3: expected UTF-8; save the file in that encoding");
}

#[test]
fn debug_of_ini_shows_no_values() {
    let ini = parse("[app:main]\nsecret = hush\n", "x.ini").unwrap();
    let shown = format!("{ini:?}");
    assert!(shown.contains("secret (line 2)") && !shown.contains("hush"), "{shown}");
}

proptest! {
    #[test]
    fn the_parser_never_panics(
        text in "\\PC{0,80}",
        lines in proptest::collection::vec("[\\[\\]=:%();# a-z]{0,12}", 0..20),
    ) {
        for text in [text, lines.join("\n")] {
            if let Err(fault) = parse(&text, "x.ini") {
                prop_assert!((1..=text.lines().count()).contains(&fault.line), "{fault}");
            }
        }
    }

    #[test]
    fn options_survive_a_round_trip(
        options in proptest::collection::btree_map(
            "[a-z][a-z.]{0,8}",
            "[a-zA-Z0-9/_][a-zA-Z0-9/_ .=:;#-]{0,20}[a-z](\n{1,2}[a-z/=:\\[-][ -~]{0,9}[a-z])?",
            0..10,
        ),
        indent in "[ \t]{1,3}",
    ) {
        let written = |value: &str| value.replace('\n', &format!("\n{indent}"));
        let text: String = options.iter().map(|(name, value)| format!("{name} = {}\n", written(value))).collect();
        let ini = parse(&format!("[app:main]\n{text}"), "x.ini").unwrap();
        for (name, value) in &options {
            prop_assert_eq!(ini.get("app:main", name), Some(value.as_str()));
        }
    }
}
