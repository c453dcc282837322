//! The servers of Python: the addresses of each, and the options that are ignored or refused.

use std::path::PathBuf;

use ampoule_deploy::Listen;

use crate::old_files::warnings;
use crate::support::load_text;

/// A server's options, and the addresses.
const LISTENS: &[(&str, &str)] = &[
    ("egg:waitress", "http://0.0.0.0:8080"),
    ("egg:waitress#main\nport = 6543", "http://0.0.0.0:6543"),
    ("egg:waitress\nlisten = *:8080", "http://[::]:8080"),
    (
        "egg:waitress\nlisten =\n  127.0.0.1:1\n  [::1]:2 site.test",
        "http://127.0.0.1:1 http://[::1]:2 http://site.test:8080",
    ),
    ("egg:waitress\nunix_socket = /run/site.sock", "unix:/run/site.sock"),
    ("egg:gunicorn#main\nworkers = 3", "http://127.0.0.1:8000"),
    ("egg:gunicorn\nbind = 0.0.0.0:80", "http://0.0.0.0:80"),
    ("egg:gunicorn\nhost = unix:/run/g.sock", "unix:/run/g.sock"),
    ("egg:gunicorn\nbind = unix:/run/g.sock", "unix:/run/g.sock"),
    ("egg:PasteScript#cherrypy\nhost = 127.0.0.1:4443\nnumthreads = 10", "http://127.0.0.1:4443"),
    ("egg:gearbox#wsgiref\nhost = localhost\nport = 8081", "http://localhost:8081"),
    ("egg:gearbox#gevent", "http://0.0.0.0:8080"),
    ("egg:pyramid#wsgiref", "http://0.0.0.0:8080"),
    ("egg:Paste#http\nuse_threadpool = True\nthreadpool_workers = 5", "http://127.0.0.1:8080"),
];

#[test]
fn every_server_listens_at_the_addresses_of_its_section() {
    for (server, expected) in LISTENS {
        let deployment = load_text(&format!("[app:main]\nuse = egg:echo\n[server:main]\nuse = {server}\n")).unwrap();
        let server_listens = &deployment.server.as_ref().unwrap().listen;
        let listen: Vec<String> = server_listens.iter().map(ToString::to_string).collect();
        assert_eq!(listen.join(" "), *expected, "{server}");
    }
    let text =
        "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:waitress\nunix_socket = /s\nunix_socket_perms = 660\n";
    let server = load_text(text).unwrap().server.unwrap();
    assert_eq!(server.listen, [Listen::Unix { path: PathBuf::from("/s"), mode: 0o660 }]);
}

#[test]
fn ignored_options_of_a_server_cause_one_warning() {
    let text = "[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\nuse_threadpool = True\nport = 1\n\
                threadpool_workers = 5\n";
    assert_eq!(
        warnings(&load_text(text).unwrap()),
        [
            "site.ini:5: [server:main] use_threadpool, threadpool_workers: ignored: options of a Python server; this one answers \
          many requests in each thread"
        ]
    );
}

/// A server's options, and their faults.
const FAULTS: &[(&str, &str)] = &[
    ("listen = a:1\nport = 2", "port: conflicts with `listen`; write only one of them"),
    ("listen = a:1\nunix_socket = /s", "unix_socket: conflicts with `listen`; write only one of them"),
    ("listen = a:many", "listen: expected host:port, [address]:port or unix:/path, found `a:many`"),
    ("listen =", "listen: expected an address such as 127.0.0.1:8080"),
    ("host = a b", "host: expected an address or a host name, such as 127.0.0.1"),
    ("host = a:1\nport = 2", "host: contains a port, and `port` is set too; write only one of them"),
    (
        "unix_socket = /s\nunix_socket_perms = rw",
        "unix_socket_perms: expected an octal number from 0 to 777, such as 660",
    ),
    ("unix_socket =", "unix_socket: expected the path of a socket, such as /run/site.sock"),
    ("thraeds = 4", "thraeds: there is no such option; did you mean `threads`?"),
    ("url_scheme = ftp", "url_scheme: expected http or https"),
    (
        "ssl_pem = /x",
        "ssl_pem: this server has no TLS; put a proxy that has it in front, and name it in `trusted_proxies`",
    ),
    ("trusted_proxy_headers = forwarded", "trusted_proxy_headers: has no effect without `trusted_proxies`"),
    (
        "trusted_proxies = 10.0.0.0/33",
        "trusted_proxies: expected addresses and networks such as 127.0.0.1 10.0.0.0/8, `unix`, or `*`, found `10.0.0.0/33`",
    ),
    (
        "trusted_proxies = ::1\ntrusted_proxy = ::1",
        "trusted_proxy: conflicts with `trusted_proxies`; write only one of them",
    ),
    (
        "trusted_proxies = ::1\ntrusted_proxy_headers = x-forwarded-four",
        "trusted_proxy_headers: expected x-forwarded-for, x-forwarded-proto, x-forwarded-host or forwarded; did you mean \
         `x-forwarded-for`?",
    ),
    (
        "trusted_proxies = ::1\ntrusted_proxy_headers = forwarded x-forwarded-for",
        "trusted_proxy_headers: expected `forwarded` alone: a proxy sets either it or x-forwarded-…, and a client could forge \
         the other",
    ),
];

#[test]
fn the_faults_of_a_server_have_lines() {
    for (options, expected) in FAULTS {
        let text = format!("[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:waitress\n{options}\n");
        let said = load_text(&text).unwrap_err();
        assert!(said.ends_with(&format!("[server:main] {expected}")) && said.lines().count() == 1, "{options}: {said}");
    }
}
