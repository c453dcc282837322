//! Creates the load with `wrk`, and a script that sends the cookies in turn.

use std::path::PathBuf;
use std::process::Command;

/// The number of concurrent requests.
pub const CONNECTIONS: usize = 32;

/// The script formats the requests before the run. Without cookies, it has one request, which sends no cookie.
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

/// Requests the path repeatedly on each connection.
///
/// # Panics
/// If a response is not 2xx, or a connection fails.
pub fn run(port: u16, path: &str, cookies: &[String], seconds: u64) -> Load {
    let script = Script::new(cookies);
    let out = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script.0)
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("wrk runs");
    let output = String::from_utf8_lossy(&out.stdout).into_owned();
    let failed = !out.status.success() || output.contains("Non-2xx") || output.contains("Socket errors");
    assert!(!failed, "{path}: wrk printed\n{output}{}", String::from_utf8_lossy(&out.stderr));
    let split_line_at = |mark: &str| output.lines().find_map(|line| line.trim().split_once(mark));
    let requests = split_line_at(" requests in").and_then(|(count, _)| count.parse().ok());
    let per_second = split_line_at("Requests/sec:").and_then(|(_, rate)| rate.trim().parse().ok());
    match (requests, per_second) {
        (Some(requests), Some(per_second)) => Load { requests, per_second },
        _ => panic!("{path}: wrk printed\n{output}"),
    }
}

/// A script in a file, which `Drop` removes.
struct Script(PathBuf);

impl Script {
    fn new(cookies: &[String]) -> Script {
        let path = std::env::temp_dir().join(format!("ampoule-bench-http-{}.lua", std::process::id()));
        // The Debug output of an ASCII string is also a string of Lua.
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
