//! `check` and `serve` ping the stores before the first request.

mod support;

use std::time::{Duration, Instant};

use ampoule_test_servers::{Kind, set_clock_off, shared};
use support::{Served, ampoule, development_ini};

fn folder_with_store(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = "beaker.session.key = ampoule_demo\n";
    let text = development_ini().replacen(key, &format!("{key}beaker.session.url = {url}\n"), 1);
    std::fs::write(folder.path().join("site.ini"), text).unwrap();
    folder
}

/// Serves until the log has had time for a line, and returns it.
fn log_of(folder: &tempfile::TempDir, command: std::process::Command) -> String {
    let served = Served::start_with(folder.path(), command);
    std::thread::sleep(Duration::from_secs(3));
    served.terminate()
}

#[test]
fn a_clock_that_differs_from_the_store_s_is_reported_by_check_and_serve() {
    for kind in [Kind::Redis, Kind::Memcached] {
        let Some(server) = shared(kind) else { return };
        let folder = folder_with_store(server.url());
        let check = |offset: Option<&str>| {
            let mut command = ampoule();
            command.args(["check", "site.ini"]).current_dir(folder.path());
            let is_set = offset.is_none_or(|offset| set_clock_off(&mut command, offset));
            is_set.then(|| command.output().unwrap())
        };
        let output = check(None).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !said.contains("clock"), "{kind:?}: {said}{output:?}");
        for (offset, way) in [("+2h", "behind"), ("-2h", "ahead of")] {
            let Some(output) = check(Some(offset)) else { return };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let expected = format!(" s {way} this machine's; set both by NTP");
            assert!(output.status.success() && said.contains(&expected), "{kind:?} {offset}: {said}");
            let mut command = ampoule();
            assert!(set_clock_off(&mut command, offset));
            let log = log_of(&folder, command);
            assert!(log.contains(&expected), "{kind:?} {offset}: {log}");
        }
    }
}

#[test]
fn an_unreachable_store_fails_check_and_is_logged_once_by_serve() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = folder_with_store(&format!("memcached://127.0.0.1:{port}"));
    let started = Instant::now();
    let output = ampoule().args(["check", "site.ini"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && started.elapsed() < Duration::from_secs(30), "{said}");
    let log = log_of(&folder, ampoule());
    for text in [&said, &log] {
        for part in ["it cannot be reached", "Connection refused"] {
            assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        }
    }
    assert!(log.contains("WARN") && log.contains("the session store does not answer"), "{log}");
}
