//! The warning about a server that evicts live sessions when its memory is full.

use std::sync::{Mutex, PoisonError};

use redis::Value;

use crate::connection::Connection;

/// The policy by which the server evicts; `None` if it does not evict, or the policy is unknown.
#[derive(Default)]
pub(crate) struct EvictionPolicy(Mutex<Option<String>>);

impl EvictionPolicy {
    /// Sets the policy, and returns whether it differs from the one before.
    fn set(&self, policy: Option<String>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *known, policy.clone()) != policy
    }

    /// Logs a warning about a policy that evicts sessions, if it was not the policy at the last check.
    pub(crate) async fn check(&self, connection: &Connection) {
        let info = match connection.read(redis::cmd("INFO").arg("memory")).await {
            Ok(info) => info,
            Err(error) => return tracing::debug!("maxmemory-policy of Redis could not be read: {error}"),
        };
        let mut texts = Vec::new();
        collect(info, &mut texts);
        let policy = texts.iter().find_map(|text| evicting_policy(text)).map(str::to_owned);
        let is_new = self.set(policy.clone());
        if let Some(policy) = policy.filter(|_| is_new) {
            tracing::warn!(
                "Redis at {} has maxmemory-policy {policy}: when its memory is full, it evicts live sessions, which logs \
                 users out, and lists of a user's sessions, so that revoking them misses live ones; set noeviction",
                connection.location()
            );
        }
    }
}

/// Collects the text of the server, or of each node of a Cluster.
fn collect(info: Value, texts: &mut Vec<String>) {
    match info {
        Value::BulkString(bytes) => texts.push(String::from_utf8_lossy(&bytes).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => texts.push(text),
        Value::Array(values) => values.into_iter().for_each(|value| collect(value, texts)),
        Value::Map(pairs) => pairs.into_iter().for_each(|(_, value)| collect(value, texts)),
        _ => {}
    }
}

/// Returns the policy if the server may evict. A server without a limit never does.
fn evicting_policy(info: &str) -> Option<&str> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let is_limited = field("maxmemory").is_some_and(|bytes| bytes != "0");
    field("maxmemory_policy").filter(|policy| is_limited && *policy != "noeviction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_evicts_only_if_memory_is_limited() {
        let info = |bytes: &str, policy: &str| {
            format!("# Memory\r\nused_memory:1\r\nmaxmemory:{bytes}\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert_eq!(evicting_policy(&info("100", "allkeys-lru")), Some("allkeys-lru"));
        assert_eq!(evicting_policy(&info("100", "volatile-ttl")), Some("volatile-ttl"));
        assert_eq!(evicting_policy(&info("0", "allkeys-lru")), None);
        assert_eq!(evicting_policy(&info("100", "noeviction")), None);
        assert_eq!(evicting_policy(""), None);
    }
}
