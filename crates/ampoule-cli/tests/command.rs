//! Runs the command with arguments of all kinds.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use support::{Served, ampoule, development_ini};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    ampoule().args(arguments).current_dir(folder).output().expect("the binary was built")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), text).unwrap();
    folder
}

/// Sends one request and returns the response.
fn ask(base: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn serve_prints_its_address_and_store_and_ends_on_sigterm() {
    let folder = folder_with(&development_ini());
    let served = Served::start(folder.path());
    let sessions = folder.path().canonicalize().unwrap().join("data/sessions");
    assert_eq!(served.said[0], format!("session ampoule_demo: files in {} (durability process)", sessions.display()));
    let warning = "[filter-app:main] beaker.session.secret: the secret is known from documentation";
    assert!(
        served.said.iter().any(|line| line.starts_with("warning: site.ini:") && line.contains(warning)),
        "{:?}",
        served.said
    );
    let answer = ask(&served.base, "GET /?token=hush HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("set-cookie: ampoule_demo="), "{answer}");
    assert!(
        ask(&served.base, "GET /nowhere HTTP/1.1").starts_with("HTTP/1.1 404"),
        "a page of its own for what is not there"
    );
    let log = served.terminate();
    assert!(log.contains(" GET / 200 ") && !log.contains("hush"), "the access log has the path and no query: {log}");
    assert!(log.contains("shutting down: requests in progress") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let folder = folder_with(&development_ini());
    let served = Served::start(folder.path());
    let port = served.base.rsplit(':').next().unwrap();
    std::fs::write(folder.path().join("two.ini"), development_ini().replace("port = 0", &format!("port = {port}")))
        .unwrap();
    let output = run(folder.path(), &["serve", "two.ini"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).starts_with(&format!("error: cannot listen on 127.0.0.1:{port}: ")), "{}", err(&output));
}

#[test]
fn make_config_writes_a_file_that_can_be_served_and_overwrites_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["make-config", "shop", "production.ini"]);
    assert!(made.status.success(), "{}", err(&made));
    let path = folder.path().join("production.ini");
    let text = std::fs::read_to_string(&path).unwrap();
    let secret = text.lines().find_map(|line| line.strip_prefix("beaker.session.secret = ")).unwrap();
    assert_eq!(secret.len(), 43, "256 bits in base64url");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(text.contains("\ntrusted_proxies = 127.0.0.1\n"), "{text}");
    let checked = run(folder.path(), &["check", "production.ini"]);
    assert!(
        checked.status.success() && out(&checked).contains("session __Host-shop: files in "),
        "{}{}",
        out(&checked),
        err(&checked)
    );
    let again = run(folder.path(), &["make-config", "shop", "production.ini"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("production.ini already exists; --force"), "{}", err(&again));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert!(run(folder.path(), &["make-config", "shop", "production.ini", "--force"]).status.success());
    assert_ne!(std::fs::read_to_string(&path).unwrap(), text, "another secret");
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "production.ini and data, nothing half written: {files:?}");
}

#[test]
fn make_config_refuses_names_that_could_break_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "a b", "a\nb", "a;b", "%(here)s", "a=b", "ä", &"a".repeat(65)] {
        let output = run(folder.path(), &["make-config", name, "x.ini"]);
        assert_eq!(output.status.code(), Some(1), "{name:?}");
        assert!(err(&output).contains("expected 1 to 64 letters, digits"), "{}", err(&output));
    }
    assert!(!folder.path().join("x.ini").exists());
    let nowhere = run(folder.path(), &["make-config", "shop", "no/such/folder/x.ini"]);
    assert!(err(&nowhere).contains("x.ini cannot be written: "), "{}", err(&nowhere));
}

#[test]
fn check_reports_all_faults_and_serves_nothing() {
    let text = development_ini()
        .replace("use = egg:ampoule-demo\n", "use = egg:ampoule-dmeo\n")
        .replace("port = 0", "port = many");
    let text = text.replacen("beaker.session.key = ", "beaker.session.timeout = soon\nbeaker.session.key = ", 1);
    let folder = folder_with(&text);
    let output = run(folder.path(), &["check", "site.ini"]);
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
    let lines: Vec<String> = err(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let parts = [
        "port: expected a number from 0 to 65535, found `many`",
        "beaker.session.timeout: expected a whole number of seconds, or none, found `soon`",
        "did you mean `egg:ampoule-demo#main`?",
    ];
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(part), "in the order of the lines: {lines:?}");
    }
    assert!(lines.iter().all(|line| line.starts_with("error: site.ini:")), "each names its place: {lines:?}");
}

#[test]
fn check_writes_one_json_document_with_or_without_faults() {
    let folder = folder_with(&development_ini());
    let check = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["check", "--json", "site.ini"], arguments].concat());
        let document: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        (output.status.code(), document)
    };
    let (code, good) = check(&[]);
    assert_eq!((code, &good["is_good"], &good["app"]), (Some(0), &true.into(), &"main".into()), "{good}");
    assert_eq!(good["listen"], serde_json::json!(["http://127.0.0.1:0"]));
    assert_eq!((&good["sessions"][0]["answers"], &good["faults"]), (&true.into(), &serde_json::json!([])), "{good}");
    assert!(good["warnings"][0]["line"].as_u64() > Some(0), "{good}");
    let (code, bad) = check(&["beaker.session.timeout=soon"]);
    assert_eq!((code, &bad["is_good"], bad.get("sessions")), (Some(1), &false.into(), None), "{bad}");
    assert!(bad["faults"][0]["message"].as_str().unwrap().contains("expected a whole number of seconds"), "{bad}");
    let (code, down) = check(&["beaker.session.url=memcached://127.0.0.1:1"]);
    assert_eq!((code, &down["is_good"], &down["sessions"][0]["answers"]), (Some(1), &false.into(), &false.into()));
    assert!(down["sessions"][0]["error"].as_str().unwrap().contains("it cannot be reached"), "{down}");
}

#[test]
fn completions_and_manual_pages_contain_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let completions = run(folder.path(), &["completions", shell]);
        assert!(completions.status.success() && out(&completions).contains("restcontroller"), "{}", err(&completions));
    }
    let script = folder.path().join("ampoule.bash");
    std::fs::write(&script, out(&run(folder.path(), &["completions", "bash"]))).unwrap();
    let words = "COMP_WORDS=(ampoule sessions re); COMP_CWORD=2; _ampoule ampoule re sessions; echo ${COMPREPLY[@]}";
    let script = format!(". {}; {words}", script.display());
    if let Ok(bash) = std::process::Command::new("bash").args(["-c", &script]).output() {
        assert_eq!(out(&bash), "revoke\n", "{}", err(&bash));
    }
    assert!(run(folder.path(), &["man", "man1"]).status.success());
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert!(page("ampoule.1").contains("EXIT CODES") || page("ampoule.1").contains("Exit codes:"));
    assert!(page("ampoule-sessions-list.1").contains(r"\-\-sort"), "{}", page("ampoule-sessions-list.1"));
}

#[test]
fn options_of_the_command_line_override_the_file() {
    let folder = folder_with(&development_ini());
    let output = run(folder.path(), &["check", "site.ini", "debug=false"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("the secret is known from documentation"), "{}", err(&output));
    let wrong = run(folder.path(), &["check", "site.ini", "debug"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("expected OPTION=VALUE, such as debug=true"), "{}", err(&wrong));
}

#[test]
fn without_a_file_the_error_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("make-config"), "the help: {}", out(&output));
    assert_eq!(err(&output), "error: there is no development.ini in this folder; name a file, or a command\n");
    let missing = run(folder.path(), &["serve", "nope.ini"]);
    assert_eq!(err(&missing), "error: nope.ini: cannot be read: No such file or directory (os error 2)\n");
}

#[test]
fn the_help_fits_a_narrow_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["--help"][..], &["serve", "--help"], &["sessions", "--help"], &["sessions", "list", "--help"]] {
        for columns in [80, 60, 50, 40] {
            let output =
                ampoule().args(command).env("COLUMNS", columns.to_string()).current_dir(folder.path()).output();
            let text = out(&output.unwrap());
            // clap folds all but this line.
            for line in text.lines().filter(|line| !line.starts_with("Usage: ")) {
                assert!(line.chars().count() <= columns, "{command:?} {columns}: {line}");
            }
        }
    }
    let help = out(&run(folder.path(), &["--help"]));
    for part in ["Examples:", "AMPOULE_SESSION_SECRET_FILE", "Exit codes:\n  0 "] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
