//! The load: `wrk`, with a script that takes the cookies in turn.

use std::path::PathBuf;
use std::process::Command;

/// The number of concurrent requests.
pub const CONNECTIONS: usize = 32;

/// The requests are made before the run; the first entry without cookies is a request that sends none.
const SCRIPT: &str = r#"
local cookies = { COOKIES }
local requests, turn = {}, 0
init = function()
  for _, cookie in ipairs(cookies) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Cookie"] = cookie })
  end
  if #requests == 0 then requests[1] = wrk.format("GET") end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
"#;

/// The result of a run.
pub struct Load {
    pub requests: u64,
    pub per_second: f64,
}

/// Whether wrk is installed.
pub fn is_installed() -> bool {
    Command::new("wrk").arg("-v").output().is_ok()
}

/// Requests the path in a loop on each connection.
///
/// # Panics
/// If an answer was not 2xx, or a connection failed.
pub fn run(port: u16, path: &str, cookies: &[String], seconds: u64) -> Load {
    let script = Script::new(cookies);
    let out = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script.0)
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("wrk runs");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let failed = !out.status.success() || said.contains("Non-2xx") || said.contains("Socket errors");
    assert!(!failed, "{path}: wrk says\n{said}{}", String::from_utf8_lossy(&out.stderr));
    let word_before = |mark: &str| said.lines().find_map(|line| line.trim().split_once(mark));
    let requests = word_before(" requests in").and_then(|(count, _)| count.parse().ok());
    let per_second = word_before("Requests/sec:").and_then(|(_, rate)| rate.trim().parse().ok());
    match (requests, per_second) {
        (Some(requests), Some(per_second)) => Load { requests, per_second },
        _ => panic!("{path}: wrk says\n{said}"),
    }
}

/// A file that is removed at its end.
struct Script(PathBuf);

impl Script {
    fn new(cookies: &[String]) -> Script {
        let path = std::env::temp_dir().join(format!("ampoule-bench-http-{}.lua", std::process::id()));
        // A string of Rust that is escaped is one of Lua, as long as it is ASCII.
        let list: Vec<_> = cookies.iter().map(|cookie| format!("{cookie:?}")).collect();
        std::fs::write(&path, SCRIPT.replace("COOKIES", &list.join(", "))).expect("a temporary file");
        Script(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
