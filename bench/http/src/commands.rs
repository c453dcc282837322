//! The commands that Redis counts: those that clients send, and those that scripts run inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How often each command was run, by its name.
pub type Counts = BTreeMap<String, u64>;

/// Our own connection to Redis.
pub struct Redis {
    connection: redis::Connection,
    address: String,
}

impl Redis {
    pub fn connect(url: &str) -> Redis {
        let client = redis::Client::open(url).expect("the URL of Redis");
        let address = url.trim_start_matches("redis://").to_owned();
        Redis { connection: client.get_connection().expect("Redis answers"), address }
    }

    /// Forgets all sessions.
    pub fn clear(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).expect("Redis answers");
    }

    /// Begins to count.
    pub fn reset(&mut self) {
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut self.connection).expect("Redis answers");
    }

    /// What was run since then, our own commands aside.
    pub fn counts(&mut self) -> Counts {
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut self.connection).expect("Redis answers");
        let lines = text.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
        let counts =
            lines.filter_map(|(name, rest)| Some((name.to_uppercase(), rest.split(',').next()?.parse().ok()?)));
        counts.filter(|(name, _)| !matches!(name.as_str(), "CONFIG|RESETSTAT" | "INFO")).collect()
    }

    /// The names of the commands that scripts run until this ends. Redis counts them like any others, in
    /// `commandstats` and in `total_commands_processed`; only MONITOR tells them apart.
    pub fn run_by_scripts(&self, go_on: impl FnOnce()) -> BTreeSet<String> {
        let mut stream = TcpStream::connect(&self.address).expect("Redis listens");
        stream.write_all(b"MONITOR\r\n").expect("Redis reads");
        stream.read_exact(&mut [0; 5]).expect("Redis answers +OK");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        go_on();
        let mut seen = Vec::new();
        // It ends by the timeout.
        let _ = stream.read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen);
        // +1700000000.123456 [0 lua] "GETRANGE" "key" …
        let inner = seen.lines().filter_map(|line| line.split_once(" lua] \"")?.1.split('"').next());
        inner.map(str::to_uppercase).collect()
    }
}
