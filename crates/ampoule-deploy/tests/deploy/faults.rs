//! All faults are reported, each with its line and without secrets.

use ampoule_deploy::{Conf, Faults, Registry, app};
use axum::Router;

use crate::support::{load_all, load_text, registry, write};

/// Files with a fault, and the message.
const FAULTS: &[(&str, &str)] = &[
    ("use = x\n", "site.ini:1: option `use` comes before the first [section]"),
    ("[app:main\n", "site.ini:1: expected `[section]`, since the line starts with `[`"),
    ("[app:main] x\n", "site.ini:1: expected `[section]`, since the line starts with `[`"),
    ("[]\n", "site.ini:1: expected `[section]`, since the line starts with `[`"),
    (
        "[app:main]\nwrapped secret\n",
        "site.ini:2: expected `option = value`, or white space before a line that continues the value above",
    ),
    ("[app:main]\na = 1\na = 2\n", "site.ini:3: option `a` is already set in line 2"),
    ("[a]\n[a]\n", "site.ini:2: section [a] already exists in line 1"),
    (
        "[app:main]\nuse = egg:echo\na = %(nope)s\nb = %(no)s\n",
        "site.ini:3: [app:main] a: there is no option `nope` for `%(nope)s`\n\
         site.ini:4: [app:main] b: there is no option `no` for `%(no)s`",
    ),
    (
        "[DEFAULT]\na = secret9%\n[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\n",
        "site.ini:2: [DEFAULT] a: expected `%(name)s`, or `%%` for a percent sign, after a `%`",
    ),
    (
        "[app:main]\nuse = egg:echo\na = %(b)s\nb = %(a)s\n",
        "site.ini:3: [app:main] a: its `%(name)s` references are nested more than 10 deep, or form a cycle\n\
         site.ini:4: [app:main] b: its `%(name)s` references are nested more than 10 deep, or form a cycle",
    ),
    (
        "[app:main]\nuse = egg:ecco\n",
        "site.ini:2: [app:main] use: this program has no app `egg:ecco#main`; did you mean `egg:echo#main`? (it has \
         egg:echo#main, REST)",
    ),
    (
        "[filter-app:main]\nuse = egg:sing\nnext = egg:echo\n",
        "site.ini:2: [filter-app:main] use: this program has no filter `egg:sing#main`; did you mean `egg:sign#main`? \
         (it has egg:sign#main, REST)",
    ),
    ("[app:main]\na = 1\n", "site.ini:1: [app:main] use: expected `use = egg:Dist#entry`, the name of its factory"),
    (
        "[app:main]\npaste.app_factory = my:app\n",
        "site.ini:2: [app:main] paste.app_factory: a Python factory cannot be called; register one and name it with \
         `use = egg:Dist#entry`",
    ),
    (
        "[app:main]\nuse = call:my.app:make\n",
        "site.ini:2: [app:main] use: expected `egg:Dist#entry`, found the Python function `call:my.app:make`",
    ),
    (
        "[app:main]\nuse = http://a/b\n",
        "site.ini:2: [app:main] use: expected a section's name, `egg:Dist#entry` or `config:file.ini#name`, found \
         `http://a/b`",
    ),
    (
        "[app:main]\nuse = hmoe\n[app:home]\nuse = egg:echo\n[server:hmoe]\n[logging]\n",
        "site.ini:2: [app:main] use: there is no section [app:hmoe], [application:hmoe], [composite:hmoe], \
         [composit:hmoe], [pipeline:hmoe], [filter-app:hmoe] in site.ini; did you mean `home`? (it has home, main)",
    ),
    (
        "[server:main]\nuse = egg:Paste#http\n",
        "site.ini: there is no section [app:main], [application:main], [composite:main], [composit:main], \
         [pipeline:main], [filter-app:main] in site.ini (it has none)",
    ),
    (
        "[app:main]\nuse = egg:echo\n[pipeline:main]\npipeline = x\n",
        "site.ini: ambiguous: `main` may be [app:main] in line 1 or [pipeline:main] in line 3",
    ),
    ("[app:main]\nuse = egg:echo\nget a = b\n", "site.ini:3: [app:main] a: there is no global option `b`"),
    (
        "[filter-app:main]\nuse = egg:sign\n",
        "site.ini:1: [filter-app:main] next: expected the name of the app that is filtered",
    ),
    (
        "[composite:main]\nuse = egg:Paste#urlmap\nhere = e\ndomain a port b /c = e\n[app:e]\nuse = egg:echo\n",
        "site.ini:3: [composite:main] here: expected `/path = app` or `domain HOST [port PORT] /path = app`\n\
         site.ini:4: [composite:main] domain a port b /c: expected `/path = app` or `domain HOST [port PORT] /path = app`",
    ),
    (
        "[composite:main]\nuse = egg:Paste#urlmap\n/a = e\n/a/ = e\n[app:e]\nuse = egg:echo\n",
        "site.ini:4: [composite:main] /a/: another app is mounted there",
    ),
    (
        "[pipeline:main]\npipeline =\n",
        "site.ini:1: [pipeline:main] pipeline: expected the names of filters and, last, of an app",
    ),
    (
        "[pipeline:main]\nuse = x\n",
        "site.ini:1: [pipeline:main] pipeline: expected the names of filters and, last, of an app\n\
         site.ini:2: [pipeline:main] use: there is no such option",
    ),
    (
        "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\nport = 99999\nhots = a\nhost =\n",
        "site.ini:5: [server:main] port: expected a number from 0 to 65535, found `99999`\n\
         site.ini:6: [server:main] hots: there is no such option; did you mean `host`?\n\
         site.ini:7: [server:main] host: expected an address or a host name, such as 127.0.0.1",
    ),
    (
        "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:uwsgi\n",
        "site.ini:4: [server:main] use: this program has no server `egg:uwsgi#main` (it has REST)",
    ),
    (
        "[ap:main]\nuse = egg:echo\n[sever:main]\nuse = egg:Paste#http\n[default]\nx = 1\n",
        "site.ini: there is no section [app:main], [application:main], [composite:main], [composit:main], \
         [pipeline:main], [filter-app:main] in site.ini (it has none)\n\
         site.ini:1: [ap:main]: there is no such kind of section; did you mean `[app:main]`?\n\
         site.ini:3: [sever:main]: there is no such kind of section; did you mean `[server:main]`?\n\
         site.ini:5: [default]: there is no such kind of section; did you mean `[DEFAULT]`?",
    ),
    (
        "[DEFAULT]\nx = hush ; why\n[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http ; here\n",
        "site.ini:2: [DEFAULT] x: a `;` after white space began a comment in Python 2, and would be part of the value \
         here; put the comment on a line of its own",
    ),
    (
        "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\nhost = 0.0.0.0;x ; all\n",
        "site.ini:5: [server:main] host: a `;` after white space began a comment in Python 2, and would be part of the \
         value here; put the comment on a line of its own",
    ),
    ("[app:main]\nuse = config:nope.ini\n", "nope.ini: cannot be read: No such file or directory (os error 2)"),
];

/// Replaces the long lists of known factories.
fn without_lists(said: &str) -> String {
    let line = |line: &str| match line.split_once(" (it has egg:") {
        None => line.to_owned(),
        Some((start, list)) => {
            let nearest = list.split(", ").next().unwrap();
            let nearest = if line.contains("did you mean") { format!("egg:{nearest}, ") } else { String::new() };
            format!("{start} (it has {nearest}REST)")
        }
    };
    said.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_fault_has_its_line() {
    for (text, expected) in FAULTS {
        assert_eq!(without_lists(&load_text(text).unwrap_err()), *expected, "{text}");
    }
}

#[test]
fn an_error_lists_the_nearest_name_first() {
    let said = load_text("[composite:main]\nuse = egg:Paste#urlmpa\n").unwrap_err();
    let expected = "site.ini:2: [composite:main] use: this program has no app `egg:Paste#urlmpa`; did you mean \
                    `egg:Paste#urlmap`? (it has egg:Paste#urlmap, ";
    assert!(said.starts_with(expected), "{said}");
    for name in ["egg:echo#main", "egg:ampoule#urlmap", "egg:my_project#main"] {
        assert!(said.contains(name), "{said}");
    }
}

/// Files whose sections refer to themselves, and the message with the cycle.
const CIRCLES: &[(&str, &str)] = &[
    (
        "[app:main]\nuse = b\n[app:b]\nuse = main\n",
        "site.ini:4: [app:b] use: sections use each other: [app:main] -> [app:b] -> [app:main]",
    ),
    (
        "[filter-app:main]\nuse = egg:sign\nnext = main\n",
        "site.ini:3: [filter-app:main] next: sections contain each other: [filter-app:main] -> [filter-app:main]",
    ),
    (
        "[pipeline:main]\npipeline = egg:sign p\n[composite:p]\nuse = egg:Paste#urlmap\n/ = main\n",
        "site.ini:5: [composite:p] /: sections contain each other: [pipeline:main] -> [composite:p] -> [pipeline:main]",
    ),
    (
        "[app:main]\nuse = egg:echo\nfilter-with = f\n[filter:f]\nuse = egg:sign\nfilter-with = g\n[filter:g]\nuse = egg:sign\nfilter-with = f\n",
        "site.ini:9: [filter:g] filter-with: sections contain each other: [filter:f] -> [filter:g] -> [filter:f]",
    ),
    (
        "[app:main]\nuse = config:sub/../site.ini#b\n[app:b]\nuse = config:sub/../site.ini\n",
        "sub/../site.ini:4: [app:b] use: sections use each other: [app:main] -> [app:b] -> [app:main]",
    ),
];

#[test]
fn sections_that_refer_to_themselves_are_reported_with_the_whole_cycle() {
    for (text, expected) in CIRCLES {
        // A file is read once, under the path that referred to it first.
        let said = load_all(&[("site.ini", text), ("sub/x", "")], &[]).unwrap_err();
        assert_eq!(said, expected.replace("sub/../", ""), "{text}");
    }
    let two = [("site.ini", "[app:main]\nuse = config:b.ini\n"), ("b.ini", "[app:main]\nuse = config:site.ini\n")];
    let said = load_all(&two, &[]).unwrap_err();
    assert!(said.starts_with("b.ini:2: [app:main] use: sections use each other: [app:main] of "), "{said}");
    assert_eq!(said.matches(" -> ").count(), 2, "{said}");
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = "[filter-app:main]\nuse = egg:sign\nnext = both\nwrong = this\n[composite:both]\nuse = egg:Paste#urlmap\n/a = nope\n/b = bad\n/c = pipe\n\
                [app:bad]\nuse = egg:nothing\n[pipeline:pipe]\npipeline = no-filter bad-filter no-app\n[filter:bad-filter]\nuse = egg:sign\nwrong = 1\n\
                filter-with = no-filter\n[server:main]\nuse = egg:Paste#http\nport = x\n";
    let said = load_text(text).unwrap_err();
    let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [4, 7, 11, 13, 13, 16, 17, 20].map(|line| format!("site.ini:{line}"));
    assert_eq!(lines, expected, "{said}");
}

/// An invalid option stops its section from being made, but not the sections below from being checked.
#[test]
fn apps_below_a_section_with_a_fault_are_checked_too() {
    let below = "[composite:both]\nuse = egg:Paste#urlmap\n/a = nope\n[filter:f]\nuse = egg:nothing\n";
    for (section, expected) in [
        ("[filter-app:main]\nuse = egg:sign\nsecret = 100%hush\nnext = both\n", [3, 7].as_slice()),
        ("[filter-app:main]\nuse = egg:sign\nnext = %both\n", &[3]),
        ("[filter-app:main]\nuse = nope\nfilter-with = f\nnext = both\n", &[2, 7, 9]),
        ("[pipeline:main]\nset a = 9%\npipeline = f both\n", &[2, 6, 8]),
        ("[pipeline:main]\nset a = 9%\npipeline = %f\n", &[2, 3]),
    ] {
        let said = load_text(&format!("{section}{below}")).unwrap_err();
        let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
        let expected: Vec<String> = expected.iter().map(|line| format!("site.ini:{line}")).collect();
        assert_eq!(lines, expected, "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

/// Also if its section is used twice.
#[test]
fn each_fault_is_reported_once() {
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/a = x\n/b = x\n[app:x]\nuse = egg:nothing\n";
    assert_eq!(load_text(text).unwrap_err().lines().count(), 1);
}

/// The line is in the section that is used.
#[test]
fn the_fault_of_an_inherited_option_has_the_line_that_sets_it() {
    let site = "[pipeline:main]\npipeline = f egg:echo\n[filter:f]\nuse = config:b.ini#g\nsign = 1\n";
    let said = load_all(&[("site.ini", site), ("b.ini", "[filter:g]\nuse = egg:sign\nwrong = 1\n")], &[]).unwrap_err();
    assert_eq!(said, "b.ini:3: [filter:g] wrong: is wrong");
}

#[test]
fn a_factory_reports_all_faults_of_its_options() {
    let mut registry = registry();
    registry.app("egg:strict", |conf| {
        let mut faults = Faults(conf.unknown(&["open", "closed", "items"]));
        let open = faults.keep(conf.bool("open", true));
        let closed = faults.keep(conf.bool("closed", false));
        let items = faults.keep(conf.number("items", 20, 1..=100));
        let text = format!("{open:?} {closed:?} {items:?}");
        faults.if_none(|| app(Router::new().fallback(|| async { text })))
    });
    let said = |options: &str| said(&registry, &format!("[app:main]\nuse = egg:strict\n{options}"));
    assert_eq!(said("open = Yes\nclosed = OFF\nitems = 007\n"), "");
    let lines = said("open = 2\nitem = 3\nclosed =\nitems = +5\n");
    let expected = "site.ini:3: [app:main] open: expected true or false, found `2`\n\
                    site.ini:4: [app:main] item: there is no such option; did you mean `items`?\n\
                    site.ini:5: [app:main] closed: expected true or false, found ``\n\
                    site.ini:6: [app:main] items: expected a number from 1 to 100, found `+5`";
    assert_eq!(lines, expected);
    assert_eq!(said("items = 101\n"), "site.ini:3: [app:main] items: expected a number from 1 to 100, found `101`");
}

#[test]
fn debug_of_conf_shows_no_values() {
    let mut registry = Registry::new();
    registry.app("egg:shown", |conf: &Conf| Err(conf.missing("shown", format!("{conf:?}")).into()));
    let said = said(&registry, "[DEFAULT]\nall = hush\n[app:main]\nuse = egg:shown\nsecret = hush\n");
    assert!(said.contains("site.ini:5: [app:main] secret") && said.contains("site.ini:2: [DEFAULT] all"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

fn said(registry: &Registry, text: &str) -> String {
    let (dir, path) = write(&[("site.ini", text)]);
    let loaded = ampoule_deploy::load(&path, "main", &[], registry);
    let said = loaded.err().map(|faults| faults.to_string()).unwrap_or_default();
    said.replace(&format!("{}/", dir.path().display()), "")
}
