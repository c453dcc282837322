//! Lists all keys by Redis's own cursors, in a Cluster one master after another.

#[cfg(feature = "cluster")]
use std::collections::BTreeSet;

use ampoule_core::{Error, Page, StoreKey};
use redis::Value;

use crate::RedisStore;
use crate::format::corrupt;

impl RedisStore {
    /// A cursor is Redis's own, in a Cluster preceded by the master's address. While slots move between masters, a scan
    /// may miss keys, as Redis's own scans may.
    pub(crate) async fn page(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        #[cfg(feature = "cluster")]
        if self.0.connection.is_cluster() {
            return self.cluster_page(cursor, budget).await;
        }
        let number = cursor.map_or(Some(0), parse_number).ok_or_else(|| Page::unknown(cursor.unwrap_or_default()))?;
        let (keys, next) = self.parse_page(self.0.connection.read(&self.scan_command(number, budget)).await?)?;
        Ok(Page { keys, next: (next != 0).then(|| next.to_string()) })
    }

    #[cfg(feature = "cluster")]
    async fn cluster_page(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let start =
            cursor.map(|cursor| parse_cluster_cursor(cursor).ok_or_else(|| Page::unknown(cursor))).transpose()?;
        let masters = self.masters().await?;
        let (master, number) = match start {
            Some(start) => start,
            None => match masters.first() {
                Some(first) => (first.clone(), 0),
                None => return Ok(Page::default()),
            },
        };
        let value = self.0.connection.read_node(&self.scan_command(number, budget), &master.0, master.1).await?;
        let (keys, next) = self.parse_page(value)?;
        let next_master =
            || masters.iter().find(|other| **other > master).map(|other| format!("{}:{}/0", other.0, other.1));
        let next = if next == 0 { next_master() } else { Some(format!("{}:{}/{next}", master.0, master.1)) };
        Ok(Page { keys, next })
    }

    fn scan_command(&self, number: u64, budget: usize) -> redis::Cmd {
        let mut scan = redis::cmd("SCAN");
        scan.arg(number).arg("MATCH").arg(format!("{}*", escape_pattern(&self.0.options.prefix)));
        scan.arg("COUNT").arg(budget.max(1));
        scan
    }

    /// Returns the keys and the next cursor of a response to SCAN.
    fn parse_page(&self, value: Value) -> Result<(Vec<StoreKey>, u64), Error> {
        let (next, names) = redis::from_redis_value::<(u64, Vec<Vec<u8>>)>(value).map_err(|_| corrupt())?;
        // The sets of tags have the prefix too, but longer names, which are not keys.
        let key =
            |name: Vec<u8>| StoreKey::parse(str::from_utf8(name.strip_prefix(self.0.options.prefix.as_bytes())?).ok()?);
        Ok((names.into_iter().filter_map(key).collect(), next))
    }

    /// Returns the masters of a Cluster in an order that does not change from page to page.
    #[cfg(feature = "cluster")]
    async fn masters(&self) -> Result<BTreeSet<(String, u16)>, Error> {
        let slots = self.0.connection.read(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let Value::Array(ranges) = slots else { return Err(corrupt()) };
        let master = |range: Value| -> Option<(String, u16)> {
            let Value::Array(parts) = range else { return None };
            let Value::Array(node) = parts.into_iter().nth(2)? else { return None };
            let mut node = node.into_iter();
            let host = redis::from_redis_value(node.next()?).ok()?;
            Some((host, redis::from_redis_value(node.next()?).ok()?))
        };
        Ok(ranges.into_iter().filter_map(master).collect())
    }
}

fn parse_number(cursor: &str) -> Option<u64> {
    cursor.bytes().all(|byte| byte.is_ascii_digit()).then(|| cursor.parse().ok()).flatten()
}

#[cfg(feature = "cluster")]
fn parse_cluster_cursor(cursor: &str) -> Option<((String, u16), u64)> {
    let (address, number) = cursor.rsplit_once('/')?;
    let (host, port) = address.rsplit_once(':')?;
    Some(((host.to_owned(), port.parse().ok()?), parse_number(number)?))
}

/// Escapes a prefix, so that as a pattern it matches only itself.
fn escape_pattern(prefix: &str) -> String {
    let escape = |character: char| if "*?[]\\^-".contains(character) { vec!['\\', character] } else { vec![character] };
    prefix.chars().flat_map(escape).collect()
}
