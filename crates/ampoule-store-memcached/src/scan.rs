//! Going through all keys: each server is asked for a list of what it holds.

use std::time::Duration;

use ampoule_core::{Error, ErrorKind, Page, StoreKey};

use crate::MemcachedStore;

/// How often a server is asked again that is making a list for somebody else.
const ATTEMPTS: u32 = 200;

impl MemcachedStore {
    /// A place is the number of a server, in the order of their addresses.
    pub(crate) async fn page(&self, from: Option<&str>) -> Result<Page, Error> {
        let mut servers: Vec<_> = self.0.servers.iter().collect();
        servers.sort_by_key(|server| server.address());
        let number = from.map_or(Some(0), |place| place.parse().ok().filter(|number| *number < servers.len()));
        let number = number.ok_or_else(|| Page::unknown(from.unwrap_or_default()))?;
        for _ in 0..ATTEMPTS {
            match servers[number].list(b"lru_crawler metadump all\r\n").await {
                Err(error) if error.kind() == ErrorKind::Unavailable && error.to_string().contains("BUSY") => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                lines => {
                    let keys = lines?.iter().filter_map(|line| self.key_in(line)).collect();
                    let next = (number + 1 < servers.len()).then(|| (number + 1).to_string());
                    return Ok(Page { keys, next });
                }
            }
        }
        Err(Error::new(ErrorKind::Timeout, "memcached makes a list of its keys for somebody else"))
    }

    /// The key of a line such as `key=ampoule%3A… exp=…`, if it is one of ours. Tags have longer names.
    fn key_in(&self, line: &str) -> Option<StoreKey> {
        let name = line.strip_prefix("key=")?.split(' ').next()?;
        StoreKey::parse(unescaped(name)?.strip_prefix(&self.0.options.prefix)?)
    }
}

/// Undoes the escapes `%3A` of a URL (RFC 3986 section 2.1).
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
