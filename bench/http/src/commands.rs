//! Reads Redis's counts of commands: those that clients send, and those that scripts run inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The number of calls of each command, by its name.
pub type Counts = BTreeMap<String, u64>;

/// The benchmark's own connection to Redis.
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

    /// Removes all sessions.
    pub fn clear(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).expect("Redis answers");
    }

    /// Sets all counts to zero.
    pub fn reset(&mut self) {
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut self.connection).expect("Redis answers");
    }

    /// Returns the counts since `reset`, without the commands of this connection.
    pub fn counts(&mut self) -> Counts {
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut self.connection).expect("Redis answers");
        let lines = text.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
        let counts =
            lines.filter_map(|(name, rest)| Some((name.to_uppercase(), rest.split(',').next()?.parse().ok()?)));
        counts.filter(|(name, _)| !matches!(name.as_str(), "CONFIG|RESETSTAT" | "INFO")).collect()
    }

    /// Returns the names of the commands that scripts run during `action`. Redis counts them like commands of clients,
    /// in `commandstats` and in `total_commands_processed`; only MONITOR distinguishes them.
    pub fn run_by_scripts(&self, action: impl FnOnce()) -> BTreeSet<String> {
        let mut stream = TcpStream::connect(&self.address).expect("Redis listens");
        stream.write_all(b"MONITOR\r\n").expect("Redis reads");
        stream.read_exact(&mut [0; 5]).expect("Redis answers +OK");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        action();
        let mut seen = Vec::new();
        // The timeout ends the read.
        let _ = stream.read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen);
        // +1700000000.123456 [0 lua] "GETRANGE" "key" …
        let inner = seen.lines().filter_map(|line| line.split_once(" lua] \"")?.1.split('"').next());
        inner.map(str::to_uppercase).collect()
    }
}
