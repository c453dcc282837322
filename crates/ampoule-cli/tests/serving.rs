//! `serve` and `check`: options of the file, the environment and the command line, proxies, sockets, limits, signals.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use support::{Served, ampoule, development_ini};

const SECRET: &str = "PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E";

/// The file of the Pylons book, with the demo's apps instead of its eggs, and debug.
const SEED: &str = "\
[DEFAULT]
debug=true

[server:main]
use = egg:Paste#http
host = 0.0.0.0
port = 5000

[filter-app:main]
use = egg:Beaker#beaker_session
next = sessioned
beaker.session.key = my_project_key
beaker.session.secret = i_wear_two_layers_of_socks

[composite:sessioned]
use = egg:Paste#urlmap
/ = home
/servicebroker = servicebroker
/proxy = cross_domain_proxy

[app:servicebroker]
use = egg:ampoule-demo#notes

[app:cross_domain_proxy]
use = egg:ampoule-demo#inspector

[app:home]
use = egg:ampoule-demo
full_stack = true
cache_dir = %(here)s/data
";

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = ampoule();
    command.args(arguments).envs(environment.iter().copied()).current_dir(folder);
    command.output().expect("the binary was built")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn folder_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), text).unwrap();
    folder
}

fn serve(folder: &Path, arguments: &[&str]) -> Served {
    Served::start_with_arguments(folder, ampoule(), arguments)
}

fn answer(mut stream: impl Read + Write, request: &str) -> String {
    // A response with a body is complete.
    let end = if request.contains("\r\n\r\n") { "" } else { "\r\nConnection: close\r\n\r\n" };
    write!(stream, "{request}{end}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(base: &str, request: &str) -> String {
    answer(TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap(), request)
}

#[test]
fn the_seeds_file_serves_the_demos_apps() {
    let folder = folder_with(SEED);
    let served = serve(folder.path(), &["--host", "127.0.0.1", "--port", "0"]);
    for path in ["/", "/servicebroker", "/proxy"] {
        let answer = ask(&served.base, &format!("GET {path} HTTP/1.1\r\nHost: localhost"));
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{path}: {answer}");
    }
    let said = served.said.join("\n");
    assert!(said.contains("session my_project_key: memory"), "{said}");
    assert!(said.contains("warning: site.ini:29: [app:home] full_stack: ignored: "), "{said}");
    assert!(said.contains("warning: site.ini:30: [app:home] cache_dir: ignored: "), "{said}");
}

#[test]
fn a_pylons_file_keeps_sessions_under_its_cache_dir() {
    let folder = folder_with(&format!(
        "[server:main]\nuse = egg:Paste#http\nport = 0\n[app:main]\nuse = egg:ampoule-demo\ncache_dir = %(here)s/data\n\
         beaker.session.key = foo\nbeaker.session.secret = {SECRET}\n"
    ));
    let served = serve(folder.path(), &[]);
    let answer = ask(&served.base, "GET / HTTP/1.1\r\nHost: localhost");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("set-cookie: foo="), "{answer}");
    assert!(folder.path().join("data/sessions").is_dir());
}

#[test]
fn the_environment_is_read_and_check_prints_the_origin_of_each_value() {
    let folder = folder_with(&development_ini());
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    let env = [("AMPOULE_SESSION_SECRET_FILE", "secret"), ("AMPOULE_CACHE_EXPIRE", "5"), ("debug", "true")];
    let output = run(folder.path(), &["check", "site.ini", "debug=false", "beaker.session.timeout=60"], &env);
    let text = said(&output);
    assert!(output.status.success() && !text.contains(SECRET), "{text}");
    let line = text.lines().find(|line| line.starts_with("options of session ampoule_demo: ")).unwrap_or_default();
    for origin in
        ["secret_file from AMPOULE_SESSION_SECRET_FILE", "timeout from the command line", "key from site.ini:"]
    {
        assert!(line.contains(origin), "{origin}: {text}");
    }
    assert!(text.contains("expire from AMPOULE_CACHE_EXPIRE"), "{text}");
    let wrong = run(folder.path(), &["check", "site.ini"], &[("AMPOULE_SESSION_TIMOUT", "5")]);
    assert_eq!(wrong.status.code(), Some(1));
    let expected = "error: environment: AMPOULE_SESSION_TIMOUT: there is no such option; did you mean `timeout`?\n";
    assert_eq!(said(&wrong), expected);
    let listed = run(folder.path(), &["sessions", "stats", "--ini", "site.ini"], &[("AMPOULE_SESSION_TIMOUT", "5")]);
    assert_eq!(said(&listed), expected, "commands that look into the store read the same");
}

#[test]
fn host_port_and_the_apps_name_come_from_the_command_line() {
    let text = development_ini()
        + "\n[app:other]\nuse = egg:ampoule-demo#api\nbeaker.session.key = other\n\
                                    beaker.session.secret = not-a-secret-it-stands-in-the-repository\n";
    let folder = folder_with(&text);
    let check = |arguments: &[&str]| said(&run(folder.path(), &[&["check"], arguments].concat(), &[]));
    assert!(check(&["site.ini"]).contains("would listen on http://127.0.0.1:0\n"));
    assert!(check(&["site.ini", "--host", "::1", "--port", "81"]).contains("would listen on http://[::1]:81\n"));
    for arguments in [&["site.ini#other"][..], &["site.ini", "--name", "other"], &["site.ini#other", "--name", "other"]]
    {
        let said = check(arguments);
        assert!(said.contains("session other: ") && said.contains("site.ini is good"), "{said}");
    }
    let two = check(&["site.ini#other", "--name", "main"]);
    assert_eq!(two, "error: FILE#other and --name main name different apps; write only one of them\n");
}

#[test]
fn a_strict_check_turns_warnings_into_errors() {
    let folder = folder_with(SEED);
    let check = run(folder.path(), &["check", "site.ini"], &[]);
    assert!(check.status.success() && said(&check).contains("\nwarning: site.ini:29: "), "{}", said(&check));
    let strict = run(folder.path(), &["check", "site.ini", "--strict"], &[]);
    assert_eq!(strict.status.code(), Some(1));
    let text = said(&strict);
    assert!(text.lines().all(|line| line.starts_with("error: site.ini:")) && text.lines().count() == 3, "{text}");
}

#[test]
fn check_warns_about_secure_cookies_over_plain_http_on_a_reachable_address() {
    let file = |server: &str| {
        folder_with(&format!(
            "[server:main]\nuse = egg:waitress\n{server}\n[app:main]\nuse = egg:ampoule-demo\nbeaker.session.type = memory\n\
             beaker.session.secret = {SECRET}\n"
        ))
    };
    let warning = "warning: site.ini:1: [server:main] host: the cookie of session is Secure, but other machines reach \
                   http://0.0.0.0:8080 over plain http";
    let check = |server: &str, more: &[&str]| {
        let folder = file(server);
        said(&run(folder.path(), &[&["check", "site.ini"], more].concat(), &[]))
    };
    assert!(check("", &[]).contains(warning), "{}", check("", &[]));
    assert!(check("host = 127.0.0.1", &["--host", "0.0.0.0"]).contains(warning));
    for (server, more) in [
        ("host = 127.0.0.1", &[][..]),
        ("host = localhost", &[]),
        ("unix_socket = /nowhere/s", &[]),
        ("trusted_proxies = 10.0.0.1", &[]),
        ("url_scheme = https", &[]),
        ("", &["beaker.session.secure=false"]),
        ("", &["--host", "::1"]),
    ] {
        let said = check(server, more);
        assert!(!said.contains("is Secure") && said.contains("is good"), "{server} {more:?}: {said}");
    }
}

#[test]
fn a_secure_cookie_over_plain_http_is_logged_once() {
    let folder = folder_with(&format!(
        "[server:main]\nuse = egg:Paste#http\nport = 0\ntrusted_proxies = 127.0.0.1\n[app:main]\nuse = egg:ampoule-demo\n\
         beaker.session.type = memory\nbeaker.session.secret = {SECRET}\n"
    ));
    let log_of = |headers: &[&str]| {
        let served = serve(folder.path(), &[]);
        for headers in headers {
            let answer = ask(&served.base, &format!("GET / HTTP/1.1\r\n{headers}"));
            assert!(answer.contains("; Secure"), "{answer}");
        }
        served.terminate().matches("a Secure cookie was sent over plain http").count()
    };
    assert_eq!(log_of(&["Host: localhost", "Host: 127.0.0.1:81", "Host: [::1]", "Host: shop.localhost"]), 0);
    assert_eq!(log_of(&["Host: shop.test\r\nX-Forwarded-Proto: https"]), 0);
    assert_eq!(log_of(&["Host: shop.test", "Host: shop.test"]), 1);
    assert_eq!(log_of(&["Host: shop.test\r\nX-Forwarded-Proto: http"]), 1);
}

/// The form token and the cookie of a page that was requested through a proxy.
fn form(base: &str, headers: &str) -> (String, String) {
    let page = ask(base, &format!("GET / HTTP/1.1\r\n{headers}"));
    let cookie = page.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    let token = page.split("name=\"_authentication_token\"").nth(1).unwrap();
    let token = token.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
    (cookie.to_owned(), token.to_owned())
}

#[test]
fn the_client_and_host_of_a_trusted_proxy_are_logged_and_used_by_the_csrf_check() {
    for (trusted, status, client) in [("trusted_proxies = 127.0.0.1", "303", "9.9.9.9"), ("", "403", "127.0.0.1")] {
        let folder = folder_with(&development_ini().replace("port = 0", &format!("port = 0\n{trusted}")));
        let served = serve(folder.path(), &[]);
        let proxied =
            "Host: inner:5000\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: shop.test\r\nX-Forwarded-Proto: https";
        let (cookie, token) = form(&served.base, proxied);
        let body = format!("name=Ada&_authentication_token={token}");
        let answer = ask(
            &served.base,
            &format!(
                "POST /login HTTP/1.1\r\n{proxied}\r\nOrigin: https://shop.test\r\nCookie: {cookie}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ),
        );
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{trusted}: {answer}");
        let log = served.terminate();
        let line = log.lines().find(|line| line.contains("POST /login")).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains(&format!("{client} POST /login {status} ")), "{line}");
        let seen = "(Origin \"https://shop.test\", Host \"inner:5000\")";
        assert_eq!(line.contains(seen), status == "403", "a refusal tells what it saw: {line}");
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served_and_its_file_removed_at_the_end() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    let text = development_ini().replace(
        "egg:Paste#http\nhost = 127.0.0.1\nport = 0",
        "egg:waitress\nunix_socket = site.sock\nunix_socket_perms = 660",
    );
    let folder = folder_with(&text);
    let socket = folder.path().join("site.sock");
    // The socket file of a killed server.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let served = serve(folder.path(), &[]);
    assert!(served.said.contains(&"listening on unix:site.sock (Ctrl-C ends it)".to_owned()), "{:?}", served.said);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let answer = answer(UnixStream::connect(&socket).unwrap(), "GET / HTTP/1.1\r\nHost: localhost");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let second = run(folder.path(), &["serve", "site.ini"], &[]);
    assert!(said(&second).contains("error: cannot listen on unix:site.sock: "), "{}", said(&second));
    let log = served.terminate();
    assert!(log.contains("- GET / 200 "), "{log}");
    assert!(!socket.exists());
    std::fs::write(&socket, "a file").unwrap();
    let output = run(folder.path(), &["serve", "site.ini"], &[]);
    assert!(said(&output).contains("error: cannot listen on unix:site.sock: "), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "a file", "no other file is removed");
}

#[test]
fn a_server_can_listen_on_several_addresses() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("egg:waitress\nlisten = 127.0.0.1:0 127.0.0.1:{port}");
    let folder = folder_with(&development_ini().replace("egg:Paste#http\nhost = 127.0.0.1\nport = 0", &listen));
    let served = serve(folder.path(), &[]);
    for base in [&served.base, &format!("http://127.0.0.1:{port}")] {
        assert!(ask(base, "GET / HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200 OK"));
    }
}

#[test]
fn the_files_log_levels_apply_unless_rust_log_is_set() {
    let folder = folder_with(&(development_ini() + "\n[loggers]\nkeys = root\n[logger_root]\nlevel = WARN\n"));
    let log_of = |level: Option<&str>| {
        let mut command = ampoule();
        command.envs(level.map(|level| ("RUST_LOG", level)));
        let served = Served::start_with_arguments(folder.path(), command, &[]);
        ask(&served.base, "GET / HTTP/1.1\r\nHost: localhost");
        served.terminate()
    };
    assert!(!log_of(None).contains("GET / 200"));
    assert!(log_of(Some("info")).contains("GET / 200"));
}

/// The demo under these options of the server.
fn folder_with_server(options: &str) -> tempfile::TempDir {
    folder_with(&development_ini().replace("port = 0", &format!("port = 0\n{options}")))
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(served.base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n";
const WHOLE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn connections_of_slow_and_idle_clients_are_closed() {
    let folder = folder_with_server("channel_timeout = 1\nmax_request_header_size = 9000");
    let served = serve(folder.path(), &[]);
    let mut slow: Vec<TcpStream> = (0..100).map(|_| connect(&served)).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        // Nothing, a part of a head, or a request that is answered before the connection is idle.
        let start = ["", "GET / HTTP/1.1\r\nHost: loc", WHOLE][number % 3];
        stream.write_all(start.as_bytes()).unwrap();
    }
    for mut stream in slow {
        let mut answer = Vec::new();
        // The end, and no timeout.
        stream.read_to_end(&mut answer).unwrap();
    }
    let mut big = connect(&served);
    let answer = big.write_all(format!("{REQUEST}Cookie: {}\r\n\r\n", "x".repeat(9_000)).as_bytes()).map(|()| {
        let mut answer = String::new();
        let _ = big.read_to_string(&mut answer);
        answer
    });
    assert!(answer.unwrap().starts_with("HTTP/1.1 431 "));
    assert!(ask(&served.base, "GET / HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn connections_beyond_the_limit_wait_until_one_closes() {
    let folder = folder_with_server("connection_limit = 2");
    let served = serve(folder.path(), &[]);
    let held = [connect(&served), connect(&served)];
    for mut stream in &held {
        stream.write_all(WHOLE.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 64]).unwrap() > 0);
    }
    let mut third = connect(&served);
    third.write_all(format!("{REQUEST}Connection: close\r\n\r\n").as_bytes()).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 64]).is_err(), "it waits");
    drop(held);
    third.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[cfg(unix)]
#[test]
fn requests_finish_after_a_first_signal_and_are_aborted_by_a_second() {
    let folder = folder_with(&development_ini());
    for signals in [&["TERM"][..], &["TERM", "INT"], &["INT", "TERM"]] {
        let mut served = serve(folder.path(), &[]);
        // A request whose body does not end.
        let mut under_way = connect(&served);
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        under_way.write_all(format!("{head}Content-Length: 5\r\n\r\nn").as_bytes()).unwrap();
        assert!(ask(&served.base, "GET / HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200 OK"));
        served.signal(signals[0]);
        served.wait_for_log("shutting down: requests in progress");
        if let Some(second) = signals.get(1) {
            served.signal(second);
            let (status, log) = served.wait();
            assert_eq!(status.code(), Some(1), "{log}");
            assert!(log.contains("error: a second signal arrived: "), "{log}");
        } else {
            under_way.write_all(b"ame=").unwrap();
            let mut answer = String::new();
            under_way.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 "), "it was answered: {answer}");
            let (status, log) = served.wait();
            assert!(status.success() && !log.contains("cut off\n"), "{log}");
        }
    }
}

/// As with systemd: the socket is file descriptor 3, readiness is a datagram.
#[cfg(unix)]
#[test]
fn a_socket_that_is_passed_on_is_served_and_systemd_is_notified() {
    use std::os::unix::net::UnixDatagram;
    let folder = folder_with(&development_ini().replace("port = 0", "port = 1"));
    let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut shell = std::process::Command::new("sh");
    // LISTEN_PID is the process that listens: the shell, which execs the command.
    let script =
        format!("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {} \"$@\"", env!("CARGO_BIN_EXE_ampoule"));
    shell.args(["-c", &script, "sh"]).env("NOTIFY_SOCKET", folder.path().join("notify")).env_remove("RUST_LOG");
    shell.stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let served = Served::start_with(folder.path(), shell);
    assert_eq!(served.base, address);
    let told = || {
        let mut text = [0; 64];
        let length = notified.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(told().trim(), "READY=1");
    assert!(ask(&served.base, "GET / HTTP/1.1\r\nHost: localhost").starts_with("HTTP/1.1 200 OK"));
    served.terminate();
    assert_eq!(told().trim(), "STOPPING=1");
}
