//! Lists all keys: each server is asked for its items.

use std::time::Duration;

use ampoule_core::{Error, ErrorKind, Page, StoreKey};

use crate::MemcachedStore;
use crate::server::Server;
use crate::wire;

/// The list follows the hash table: an item that is used meanwhile moves in the least-recently-used lists, and could be
/// missed.
const LIST_COMMAND: &[u8] = b"lru_crawler metadump hash\r\n";

/// How often a server that is making a list for another client is asked again.
const MAX_ATTEMPTS: u32 = 200;

const PAUSE: Duration = Duration::from_millis(20);

impl MemcachedStore {
    /// A cursor is the number of a server, in the order of their addresses.
    pub(crate) async fn page(&self, cursor: Option<&str>) -> Result<Page, Error> {
        let servers = &self.0.servers;
        let number = cursor.map_or(Some(0), |cursor| cursor.parse().ok().filter(|number| *number < servers.len()));
        let number = number.ok_or_else(|| Page::unknown(cursor.unwrap_or_default()))?;
        for _ in 0..MAX_ATTEMPTS {
            if let Some(keys) = self.keys_on(&servers[number]).await? {
                let next = (number + 1 < servers.len()).then(|| (number + 1).to_string());
                return Ok(Page { keys, next });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::new(ErrorKind::Timeout, "memcached is busy listing its keys for other clients"))
    }

    /// Returns the keys on a server; `None` if it is busy with another list.
    async fn keys_on(&self, server: &Server) -> Result<Option<Vec<StoreKey>>, Error> {
        let (mut keys, mut other) = (Vec::new(), None);
        let line = |line: &str| {
            if line.starts_with("key=") {
                keys.extend(self.parse_key(line));
            } else {
                other = Some(line.to_owned());
            }
            other.is_none()
        };
        server.list(LIST_COMMAND, line).await?;
        match other {
            None => Ok(Some(keys)),
            Some(line) if line.starts_with("BUSY") => Ok(None),
            Some(line) if line.starts_with("ERROR") => {
                let message = "memcached was started without the listing of keys (its options -X and lru_crawler)";
                Err(Error::new(ErrorKind::Config, message).because(wire::error_of_line(&line)))
            }
            Some(line) => Err(wire::error_of_line(&line)),
        }
    }

    /// Returns the key of a line such as `key=ampoule%3A… exp=…`, if it is one of ours. Names of tags are longer.
    fn parse_key(&self, line: &str) -> Option<StoreKey> {
        let name = line.strip_prefix("key=")?.split(' ').next()?;
        StoreKey::parse(percent_decoded(name)?.strip_prefix(&self.0.options.prefix)?)
    }
}

/// Decodes the escapes (`%3A`) of a URL (RFC 3986 section 2.1).
fn percent_decoded(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(percent_decoded("ampoule%3Aab-_%25").as_deref(), Some("ampoule:ab-_%"));
        for broken in ["a%3", "a%", "a%zz", "a%ff"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
