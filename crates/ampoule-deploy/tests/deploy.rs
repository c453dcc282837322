//! Files as people write them, loaded and asked over HTTP.

use std::path::PathBuf;

use ampoule_deploy::{Deployment, Faults, MountPath, Registry, Server, app, load};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::ServiceExt;

/// Apps that say who they are and what they were given; filters that sign the response.
fn registry() -> Registry {
    let mut registry = Registry::new();
    for name in ["egg:echo", "egg:my_project", "egg:Appcelerator#service_broker", "egg:Appcelerator#cross_domain_proxy"]
    {
        registry.app(name, move |conf| {
            let options: Vec<String> = conf.options().map(|(name, value)| format!("{name}={value}")).collect();
            let who = format!("{name}[{}]{}", options.join(","), conf.global("mood").unwrap_or_default());
            conf.note(format!("made {name}"));
            let answer = move |request: Request| {
                let mount = request.extensions().get::<MountPath>().cloned().unwrap_or_default();
                let text = format!("{who} at '{}' sees {}", mount.0, request.uri());
                async move { text }
            };
            Ok(app(Router::new().fallback(answer)))
        });
    }
    {
        registry.filter("egg:sign", |conf| {
            let faults: Vec<_> =
                conf.get("wrong").map(|text| conf.fault("wrong", format!("{text} is wrong"))).into_iter().collect();
            if !faults.is_empty() {
                return Err(Faults(faults));
            }
            let sign: String = conf.get("sign").or(conf.get("beaker.session.key")).unwrap_or("?").to_owned();
            Ok(Box::new(move |inner| {
                app(tower::util::MapResponse::new(inner, move |response: http::Response<Body>| {
                    let mut response = response;
                    response.headers_mut().append("signed", sign.parse().unwrap());
                    response
                }))
            }))
        });
    }
    registry
}

fn write(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let path = dir.path().join(files[0].0);
    (dir, path)
}

fn load_text(text: &str) -> Result<Deployment, String> {
    load_files(&[("site.ini", text)])
}

fn load_files(files: &[(&str, &str)]) -> Result<Deployment, String> {
    let (dir, path) = write(files);
    let prefix = format!("{}/", dir.path().display());
    load(&path, "main", &[], &registry()).map_err(|faults| faults.to_string().replace(&prefix, ""))
}

async fn ask(deployment: &Deployment, host: &str, path: &str) -> (u16, String, Vec<String>) {
    let request = http::Request::get(path).header("host", host).body(Body::empty()).unwrap();
    let response = deployment.app.clone().oneshot(request).await.unwrap();
    let signed = response.headers().get_all("signed").iter().map(|sign| sign.to_str().unwrap().to_owned()).collect();
    let status = response.status().as_u16();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap(), signed)
}

async fn text_at(deployment: &Deployment, path: &str) -> String {
    ask(deployment, "site.test", path).await.1
}

#[tokio::test]
async fn the_seeds_composite_loads_as_it_stands() {
    let path = seed();
    let deployment = load(&path, "main", &debug(), &registry()).unwrap();
    assert_eq!(deployment.server, Some(Server { host: "0.0.0.0".into(), port: 5000 }));
    let here = path.parent().unwrap().display();
    let home = ask(&deployment, "any", "/a?b=c").await;
    assert_eq!(home.1, format!("egg:my_project[full_stack=true,cache_dir={here}/data] at '' sees /a?b=c"));
    let broker = ask(&deployment, "any", "/servicebroker?x").await;
    assert_eq!(broker.1, "egg:Appcelerator#service_broker[] at '/servicebroker' sees /?x");
    assert_eq!(
        ask(&deployment, "any", "/proxy/p/q").await.1,
        "egg:Appcelerator#cross_domain_proxy[] at '/proxy' sees /p/q"
    );
    let notes = deployment.notes.join("\n").replace(&here.to_string(), "HERE");
    let expected = "session my_project_key: memory (lost at restart)\n\
        warning: beaker.session.secret: the secret has 26 bytes, where at least 32 are needed; `ampoule make-config` writes an \
        ini file with a good one; allowed because of debug, never use it in production\n";
    assert!(notes.starts_with(expected), "the operator is told which store, and of the secret: {notes}");
}

/// The same file, with apps that count in their session: all three count in one.
#[tokio::test]
async fn the_seeds_apps_share_one_session() {
    let mut registry = registry();
    for name in ["egg:my_project", "egg:Appcelerator#service_broker", "egg:Appcelerator#cross_domain_proxy"] {
        registry.app(name, |_| {
            let count = |session: ampoule::Session| async move {
                let count = session.update("count", |count: &mut u32| *count += 1).await?;
                session.save().await?;
                Ok::<_, ampoule::Error>(count.to_string())
            };
            Ok(app(Router::new().fallback(count)))
        });
    }
    let deployment = load(&seed(), "main", &debug(), &registry).unwrap();
    let mut cookie = String::new();
    for (index, path) in ["/", "/servicebroker", "/proxy/x", "/", "/servicebroker/y"].iter().enumerate() {
        let request = http::Request::get(*path).header("cookie", &cookie).body(Body::empty()).unwrap();
        let response = deployment.app.clone().oneshot(request).await.unwrap();
        if let Some(set) = response.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.starts_with("my_project_key=") && set.contains("Path=/"), "{set}");
            cookie = set.split(';').next().unwrap().to_owned();
        }
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, (index + 1).to_string(), "{path}");
    }
}

/// Without debug its secret is too short to be served, and the error says so with its line.
#[test]
fn the_seeds_secret_is_refused_in_production() {
    let faults = load(&seed(), "main", &[], &registry()).unwrap_err().0;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, 10);
    assert!(
        faults[0].message.starts_with("[filter-app:main] beaker.session.secret: the secret has 26 bytes"),
        "{}",
        faults[0]
    );
    assert!(faults[0].message.ends_with("debug = true allows this one"), "{}", faults[0]);
}

#[tokio::test]
async fn a_session_filters_options_are_checked_with_their_lines() {
    let text = "[pipeline:main]\npipeline = session e\n[app:e]\nuse = egg:echo\n[filter:session]\nuse = egg:ampoule#session\n\
                beaker.session.timout = 5\nsecret = x\nbeaker.session.secure = maybe\nbeaker.session.type = fiel\n";
    let said = load_text(text).unwrap_err();
    let expected = [
        "site.ini:8: [filter:session] secret: a session's options have a prefix: beaker.session.secret",
        "site.ini:7: [filter:session] beaker.session.timout: there is no such option; did you mean `timeout`?",
        "site.ini:9: [filter:session] beaker.session.secure: expected true or false, found `maybe`",
        "site.ini:10: [filter:session] beaker.session.type: expected one of file, memory, cookie, found `fiel`; did you mean `file`?",
        "site.ini:8: [filter:session] secret: there is none; `ampoule make-config` writes an ini file with a fresh one",
    ];
    for line in expected {
        assert!(said.lines().any(|found| found == line), "{line}\nis not in\n{said}");
    }
}

fn seed() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed.ini"))
}

fn debug() -> [(String, String); 1] {
    [("debug".to_owned(), "true".to_owned())]
}

#[tokio::test]
async fn urlmap_takes_the_longest_path_and_the_host_before_all() {
    let text = "[composite:main]\nuse = egg:ampoule#urlmap\n/ = root\n/a = a\n/a/b = ab\ndomain Other.test /a = host\n\
                domain ported.test port 81 / = port\n";
    let apps: String =
        ["root", "a", "ab", "host", "port"].iter().map(|n| format!("[app:{n}]\nuse = egg:echo\nme = {n}\n")).collect();
    let deployment = load_text(&format!("{text}{apps}")).unwrap();
    let cases = [
        ("x", "/", "root", "", "/"),
        ("x", "/a", "a", "/a", "/"),
        ("x", "/a/", "a", "/a", "/"),
        ("x", "/ab", "root", "", "/ab"),
        ("x", "/a/b/c?q=1", "ab", "/a/b", "/c?q=1"),
        ("x", "//a//b", "ab", "/a/b", "/"),
        ("other.test:80", "/a/b", "host", "/a", "/b"),
        ("other.test", "/z", "root", "", "/z"),
        ("ported.test:81", "/a", "port", "", "/a"),
        ("ported.test:82", "/a", "a", "/a", "/"),
    ];
    for (host, path, me, mount, sees) in cases {
        assert_eq!(
            ask(&deployment, host, path).await.1,
            format!("egg:echo[me={me}] at '{mount}' sees {sees}"),
            "{host} {path}"
        );
    }
}

#[tokio::test]
async fn urlmaps_nest_and_what_is_not_found_is_404() {
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/out = inner\n[composite:inner]\nuse = egg:Paste#urlmap\n/in = e\n\
                [app:e]\nuse = egg:echo\n";
    let deployment = load_text(text).unwrap();
    assert_eq!(text_at(&deployment, "/out/in/x").await, "egg:echo[] at '/out/in' sees /x");
    assert_eq!(ask(&deployment, "x", "/out/nowhere").await.0, 404);
    let with_page = text.replacen("/out = inner", "/out = inner\nnot_found_app = e", 1);
    assert_eq!(text_at(&load_text(&with_page).unwrap(), "/nowhere").await, "egg:echo[] at '' sees /nowhere");
}

#[tokio::test]
async fn filters_stand_in_their_order() {
    let text = "[pipeline:main]\npipeline = one two e\n[filter:one]\nuse = egg:sign\nsign = 1\n[filter:two]\nuse = one\nsign = 2\n\
                [app:e]\nuse = egg:echo\nfilter-with = three\n[filter:three]\nuse = egg:sign\nsign = 3\n";
    let deployment = load_text(text).unwrap();
    assert_eq!(ask(&deployment, "x", "/").await.2, ["3", "2", "1"], "the innermost signs first");
}

#[tokio::test]
async fn use_inherits_set_reaches_below_and_get_copies() {
    let main = "[DEFAULT]\nmood = calm\nname = global\n[app:main]\nuse = base\nset mood = gay\na = 2\n\
                [app:base]\nuse = egg:echo\na = 1\nb = %(name)s-%(a)s\nget c = name\n";
    assert_eq!(text_at(&load_text(main).unwrap(), "/").await, "egg:echo[b=global-1,c=global,a=2]gay at '' sees /");
    let files = [
        ("site.ini", "[app:main]\nuse = config:other.ini#x\nset mood = blue\na = 2\n"),
        ("other.ini", "[app:x]\nuse = egg:echo\na = 1\n"),
    ];
    assert_eq!(text_at(&load_files(&files).unwrap(), "/").await, "egg:echo[a=2]blue at '' sees /");
}

#[tokio::test]
async fn a_sections_own_value_beats_the_default_and_the_command_line_beats_that_default() {
    let text = "[DEFAULT]\nmood = calm\na = global\n[app:main]\nuse = egg:echo\na = own\n";
    assert_eq!(text_at(&load_text(text).unwrap(), "/").await, "egg:echo[a=own]calm at '' sees /");
    let (_dir, path) = write(&[("site.ini", text)]);
    let deployment = load(&path, "main", &[("mood".into(), "50%".into())], &registry()).unwrap();
    assert_eq!(text_at(&deployment, "/").await, "egg:echo[a=own]50% at '' sees /");
}

#[tokio::test]
async fn the_text_is_read_as_python_reads_it() {
    let text = "\u{feff}# a comment\r\n[app:main]\r\nuse: egg:echo\r\n; another\r\nKey = a ; b # c\r\nkey = 1\r\nlong = x\r\n  y\r\n\r\n  z\r\nempty =\r\n";
    let deployment = load_text(text).unwrap();
    assert_eq!(text_at(&deployment, "/").await, "egg:echo[Key=a ; b # c,key=1,long=x\ny\nz,empty=] at '' sees /");
}

/// What is wrong, and what is said of it.
const FAULTS: &[(&str, &str)] = &[
    ("use = x\n", "site.ini:1: option `use` stands before any [section]"),
    ("[app:main\n", "site.ini:1: expected `[section]`, found `[app:main`"),
    ("[app:main]\nnonsense\n", "site.ini:2: expected `option = value`, found `nonsense`"),
    ("[app:main]\na = 1\na = 2\n", "site.ini:3: option `a` stands already in line 2"),
    ("[a]\n[a]\n", "site.ini:2: section [a] stands already in line 1"),
    (
        "[app:main]\nuse = egg:echo\na = %(nope)s\n",
        "site.ini:3: [app:main] a: there is no option `nope` for `%(nope)s`",
    ),
    (
        "[DEFAULT]\na = 9%\n[app:main]\nuse = egg:echo\n",
        "site.ini:2: [DEFAULT] a: a `%` that starts neither `%(name)s` nor `%%`, in `9%`",
    ),
    (
        "[app:main]\nuse = egg:ecco\n",
        "site.ini:2: [app:main] use: this program has no app `egg:ecco#main`; did you mean `egg:echo#main`? (it has egg:Appcelerator#cross_domain_proxy, egg:Appcelerator#service_broker, egg:echo#main, egg:my_project#main)",
    ),
    ("[app:main]\na = 1\n", "site.ini:1: [app:main] use: expected `use = egg:Dist#entry`, which says what makes it"),
    (
        "[app:main]\nuse = mian\n[app:maim]\nuse = egg:echo\n",
        "site.ini:2: there is no section [app:mian], [application:mian], [composite:mian], [composit:mian], [pipeline:mian], [filter-app:mian] in site.ini; did you mean `main`?",
    ),
    (
        "[app:main]\nuse = egg:echo\n[pipeline:main]\npipeline = x\n",
        "site.ini: ambiguous: `main` may be [app:main] in line 1 or [pipeline:main] in line 3",
    ),
    (
        "[app:main]\nuse = b\n[app:b]\nuse = main\n",
        "site.ini:4: sections that use each other: [app:main] of site.ini -> [app:b] of site.ini -> [app:main] of site.ini",
    ),
    ("[filter-app:main]\nuse = egg:sign\nnext = main\n", "site.ini:3: apps inside each other: main -> main"),
    (
        "[filter-app:main]\nuse = egg:sign\n",
        "site.ini:2: [filter-app:main] next: a filter-app needs `next`, the name of the app that it filters",
    ),
    (
        "[composite:main]\nuse = egg:Paste#urlmap\nhere = e\n[app:e]\nuse = egg:echo\n",
        "site.ini:3: [composite:main] here: expected `/path = app` or `domain HOST [port PORT] /path = app`",
    ),
    (
        "[composite:main]\nuse = egg:Paste#cascade\n",
        "site.ini:2: [composite:main] use: this program has no composite `egg:Paste#cascade` (it has egg:Paste#urlmap, egg:ampoule#urlmap)",
    ),
    (
        "[pipeline:main]\npipeline = e\nx = 1\n[app:e]\nuse = egg:echo\n",
        "site.ini:3: [pipeline:main] x: there is no such option",
    ),
    (
        "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\nport = 99999\nhots = a\n",
        "site.ini:6: [server:main] hots: there is no such option; did you mean `host`?\nsite.ini:5: [server:main] port: expected a number from 0 to 65535, found `99999`",
    ),
    ("[app:main]\nuse = config:nope.ini\n", "nope.ini: cannot be read: No such file or directory (os error 2)"),
];

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, expected) in FAULTS {
        assert_eq!(load_text(text).unwrap_err(), *expected, "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "[filter-app:main]\nuse = egg:sign\nnext = both\nwrong = this\n[composite:both]\nuse = egg:Paste#urlmap\n/a = nope\n/b = bad\n\
                [app:bad]\nuse = egg:nothing\n[server:main]\nuse = egg:Paste#http\nport = x\n";
    let said = load_text(text).unwrap_err();
    let lines: Vec<&str> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["site.ini:4:", "site.ini:7:", "site.ini:10:", "site.ini:13:"], "{said}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", lines in proptest::collection::vec("[\\[\\]=:%();# a-z]{0,12}", 0..20)) {
        let _ = ampoule_deploy::parse(&text, "x.ini");
        let _ = ampoule_deploy::parse(&lines.join("\n"), "x.ini");
    }

    #[test]
    fn what_is_written_is_read(options in proptest::collection::btree_map("[a-z][a-z.]{0,8}", "[a-zA-Z0-9/_][a-zA-Z0-9/_ .=:;#-]{0,20}[a-z]", 0..10)) {
        let text: String = options.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let ini = ampoule_deploy::parse(&format!("[app:main]\n{text}"), "x.ini").unwrap();
        for (name, value) in &options {
            prop_assert_eq!(ini.get("app:main", name), Some(value.as_str()));
        }
    }
}
