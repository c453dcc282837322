//! `use`, `set`, `get`, `next`, `filter-with` and pipelines: the options of each section, and the order of filters.

use std::fmt::Write;

use ampoule_deploy::Server;

use crate::support::{ask, given_to, load_all, load_text, load_with, registry, text_at, write};

const E: &str = "use = egg:echo\n";

/// A file, and the options of `[app:main]`: its own before the bar, the global ones after it. Each was compared with
/// Paste Deploy 3.1, except where the name says that we differ.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("values name each other", "[app:main]\nuse = egg:echo\na = %(b)s%%\nb = %(c)s!\nc = 1\n", "[a=1!%,b=1!,c=1|]"),
    ("a default", "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\na = %(m)s\n", "[a=d|m=d]"),
    (
        "a default of a default",
        "[DEFAULT]\nb = d\nm = x%(b)s\n[app:main]\nuse = egg:echo\na = %(m)s\n",
        "[a=xd|b=d,m=xd]",
    ),
    (
        "use: own options over those used",
        "[app:main]\nuse = b\na = 2\n[app:b]\nuse = egg:echo\na = 1\nc = %(a)s\n",
        "[a=2,c=1|]",
    ),
    (
        "use through two",
        "[app:main]\nuse = b\n[app:b]\nuse = c\nx = b\n[app:c]\nuse = egg:echo\nx = c\ny = c\n",
        "[x=b,y=c|]",
    ),
    ("set", "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nset m = s\n", "[|m=s]"),
    ("set reaches what is used", "[app:main]\nuse = b\nset m = outer\n[app:b]\nuse = egg:echo\n", "[|m=outer]"),
    (
        "the outer set wins",
        "[app:main]\nuse = b\nset m = outer\n[app:b]\nuse = egg:echo\nset m = inner\n",
        "[|m=outer]",
    ),
    (
        "set is not seen by values",
        "[DEFAULT]\nm = d\n[app:main]\nuse = b\nset m = s\n[app:b]\nuse = egg:echo\na = %(m)s\n",
        "[a=d|m=s]",
    ),
    ("get", "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nget a = m\n", "[a=d|m=d]"),
    ("get sees a later set", "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nget a = m\nset m = s\n", "[a=s|m=s]"),
    (
        "app, application and composite are one kind",
        "[application:main]\nuse = b\n[composite:b]\nuse = egg:echo\n",
        "[|]",
    ),
    ("differs: [app] is [app:main]", "[app]\nuse = egg:echo\na = 1\n", "[a=1|]"),
    ("differs: [main] is an app", "[main]\nuse = egg:echo\na = 1\n", "[a=1|]"),
    (
        "differs: an own value made of that of all",
        "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nm = %(m)s!\n",
        "[m=d!|m=d]",
    ),
    ("differs: a section's own value counts", "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nm = own\n", "[m=own|m=d]"),
];

#[tokio::test]
async fn a_section_has_the_expected_options() {
    for (name, text, expected) in OPTIONS {
        assert_eq!(given_to(&[("site.ini", text)], &[]).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn the_command_line_overrides_default_and_set_overrides_the_command_line() {
    let text = "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\na = %(m)s\nb = %(n)s\n";
    let given = given_to(&[("site.ini", text)], &[("m", "50%"), ("n", "%(m)s")]).await;
    assert_eq!(given, "[a=50%,b=%(m)s|m=50%,n=%(m)s]", "a value of the command line is taken as it is");
    let set = "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nset m = s\n";
    assert_eq!(given_to(&[("site.ini", set)], &[("m", "cmd")]).await, "[|m=s]");
}

#[tokio::test]
async fn a_section_of_another_file_has_its_own_here_and_default() {
    let files = [
        ("site.ini", "[DEFAULT]\nm = outer\nn = outer\n[app:main]\nuse = config:sub/other.ini#x\na = 2\n"),
        (
            "sub/other.ini",
            "[DEFAULT]\nm = inner\no = %(n)s!\n[app:x]\nuse = egg:echo\na = 1\nb = %(m)s %(n)s %(here)s\n",
        ),
    ];
    let given = given_to(&files, &[]).await;
    let (start, end) = given.split_once("b=inner outer ").unwrap();
    assert!(start == "[a=2," && end.ends_with("/sub|m=outer,n=outer,o=outer!]"), "{given}");
}

#[tokio::test]
async fn a_reference_may_be_another_file_or_a_factory() {
    let site = "[composite:main]\nuse = egg:Paste#urlmap\n/ = config:other.ini\n/plain = egg:echo\n/all = all\n\
                [pipeline:all]\npipeline = egg:sign config:other.ini#f x\n[app:x]\nuse = egg:echo\nfilter-with = config:other.ini#f\n";
    let other = "[app:main]\nuse = y\n[app:y]\nuse = egg:echo\na = other\n[filter:f]\nuse = egg:sign\nf = 1\n";
    let deployment = load_all(&[("site.ini", site), ("other.ini", other)], &[]).unwrap();
    assert_eq!(text_at(&deployment, "/").await, "egg:echo[a=other|] at '' sees /");
    assert_eq!(text_at(&deployment, "/plain").await, "egg:echo[|] at '/plain' sees /");
    assert_eq!(ask(&deployment, "x", "/all").await.signed, ["[f=1|]", "[f=1|]", "[|]"]);
}

#[tokio::test]
async fn references_are_looked_up_in_their_own_file() {
    let site = "[app:main]\nuse = config:other.ini#both\n/own = a\n[app:a]\nuse = egg:echo\nfrom = site\n";
    let other = "[composite:both]\nuse = egg:Paste#urlmap\n/ = a\n[app:a]\nuse = egg:echo\nfrom = other\n";
    let deployment = load_all(&[("site.ini", site), ("other.ini", other)], &[]).unwrap();
    assert_eq!(text_at(&deployment, "/").await, "egg:echo[from=other|] at '' sees /");
    assert_eq!(text_at(&deployment, "/own").await, "egg:echo[from=site|] at '/own' sees /");
}

#[tokio::test]
async fn filters_apply_in_order() {
    let mut text =
        "[pipeline:main]\npipeline = one two e\nfilter-with = zero\n[app:e]\nuse = egg:echo\nfilter-with = four\n\
                    [filter:four]\nuse = egg:sign\nn = 4\nfilter-with = three\n[filter:two]\nuse = one\nn = 2\n"
            .to_owned();
    for (name, n) in [("zero", 0), ("one", 1), ("three", 3)] {
        write!(text, "[filter:{name}]\nuse = egg:sign\nn = {n}\n").unwrap();
    }
    let deployment = load_text(&text).unwrap();
    let signed = ask(&deployment, "x", "/").await.signed;
    assert_eq!(signed, ["[n=4|]", "[n=3|]", "[n=2|]", "[n=1|]", "[n=0|]"], "the innermost signs first");
    let notes = ["signs [n=0|]", "signs [n=1|]", "signs [n=2|]", "signs [n=3|]", "signs [n=4|]", "made egg:echo"];
    assert_eq!(deployment.notes, notes, "the outermost speaks first");
}

#[tokio::test]
async fn global_options_that_a_filter_sets_do_not_reach_the_app_below() {
    let text =
        format!("[filter-app:main]\nuse = f\nnext = a\nset m = 1\n[filter:f]\nset n = 2\nuse = egg:sign\n[app:a]\n{E}");
    let deployment = load_text(&text).unwrap();
    let answer = ask(&deployment, "x", "/").await;
    assert_eq!((answer.text.as_str(), answer.signed), ("egg:echo[|m=1] at '' sees /", vec!["[|m=1,n=2]".to_owned()]));
}

#[test]
fn an_option_that_paste_would_ignore_causes_a_warning() {
    let text = "[DEFAULT]\nm = d\nsame = 1\n[app:main]\nuse = egg:echo\nm = own\nn = own\nsame = 1\n";
    let warnings = |text: &str, overrides: &[(&str, &str)]| {
        let warnings = load_with(text, overrides).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let first = "site.ini:6: [app:main] m: overrides line 2 of [DEFAULT] in this section; \
                   Paste would ignore it unless written `set m = …`";
    assert_eq!(warnings(text, &[]), [first]);
    let second = "site.ini:7: [app:main] n: overrides the command line in this section; \
                   Paste would ignore it unless written `set n = …`";
    assert_eq!(warnings(text, &[("n", "cmd")]), [first, second]);
    let set = "[DEFAULT]\nm = d\n[app:main]\nuse = egg:echo\nset m = own\n";
    assert_eq!(warnings(set, &[]), Vec::<String>::new());
    let both = "[DEFAULT]\nm = d\n[app:main]\nuse = b\nset m = x\n[app:b]\nuse = egg:echo\nm = own\n";
    assert!(warnings(both, &[])[0].starts_with("site.ini:8: [app:b] m: "));
}

#[test]
fn each_note_is_reported_once() {
    let text =
        "[DEFAULT]\nm = d\n[composite:main]\nuse = egg:Paste#urlmap\n/ = a\n/b = a\n[app:a]\nuse = egg:echo\nm = own\n";
    let deployment = load_text(text).unwrap();
    assert_eq!((deployment.notes.len(), deployment.warnings.len()), (1, 1));
}

/// `[server:…]` sections, and their host and port.
const SERVERS: &[(&str, Option<(&str, u16)>)] = &[
    ("", None),
    ("[server:main]\nuse = egg:Paste#http\n", Some(("127.0.0.1", 8080))),
    ("[server]\nuse = egg:ampoule#http\nhost = ::\nport = 0\n", Some(("::", 0))),
    ("[server:other]\nuse = egg:Paste#http\n", None),
    ("[server:main]\nuse = base\nport = 2\n[server:base]\nuse = egg:Paste#http\nhost = h\nport = 1\n", Some(("h", 2))),
    ("[server:main]\nuse = egg:other\nlisten = 7\n", Some(("other", 7))),
    ("[server:main]\nuse = egg:Paste#http\nport = %(http_port)s\n[DEFAULT]\nhttp_port = 6\n", Some(("127.0.0.1", 6))),
];

#[test]
fn a_server_has_the_addresses_of_its_section() {
    for (text, expected) in SERVERS {
        let deployment = load_text(&format!("[app:main]\n{E}{text}")).unwrap();
        assert_eq!(deployment.server, expected.map(|(host, port)| Server::new(host, port)), "{text}");
    }
}

#[test]
fn an_app_of_another_name_has_its_own_server_or_else_the_main_one() {
    let text = "[app:a]\nuse = egg:echo\n[app:b]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\nport = 1\n\
                [server:b]\nuse = egg:Paste#http\nport = 2\n";
    let (_dir, path) = write(&[("site.ini", text)]);
    for (name, port) in [("a", 1), ("b", 2)] {
        let deployment = ampoule_deploy::load(&path, name, &[], &registry()).unwrap();
        assert_eq!(deployment.server, Some(Server::new("127.0.0.1", port)), "{name}");
    }
}
