//! Ampoule sessions in memcached, **which may evict a session, and loses all of them when it restarts**: a saved
//! session may be lost, and a user may be logged out at any time. Where that matters, use Redis or a database.
//!
//! ```no_run
//! use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
//!
//! let store = MemcachedStore::connect("memcached://cache1.example,cache2.example:11211", MemcachedOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! | URL | connects to |
//! |---|---|
//! | `memcached://host:11211,host2` | these servers, each of which is one process; the default port is 11211 |
//! | `memcached+unix:///run/memcached.sock` | one server on this machine |
//!
//! It needs memcached 1.6.13 or later, with its tokens (not `-C`), and no password. No update is lost, and no ended
//! session comes back. A read is one command, as is saving or deleting what this process has read; a touch is two. A
//! value with a tag takes a second command in the same round trip. Three round trips are needed for the first save of a
//! login, and for about one save in a quarter of a lifetime.
//!
//! A write is sent once. If its connection breaks before the answer arrives, the error is [`ErrorKind::Timeout`], since
//! it may have been done. A read is sent again.
//!
//! # The clock
//!
//! memcached's own clock decides which values are live: each item has a time to live, and is gone when that is over.
//! Clients' clocks do not matter, and may be wrong. **memcached's clock has whole seconds and lags up to two, so a
//! value is never gone early, but may live up to two seconds longer** than its lifetime, rounded up to whole seconds;
//! for a lifetime over 30 days, which memcached needs as a timestamp, up to five seconds. memcached does not support
//! deadlines after January 2038: such values live until they are evicted.
//!
//! A reader computes [`Stored::deadline`] by its own clock from the remaining time to live: to the millisecond if the
//! writer's clock agrees with the reader's, otherwise to three seconds.
//!
//! A process's clock matters in two cases only. A value without an end (or with one after 2038) has the deadline that
//! its writer computed. And a server's clock is read once an hour, for timestamps and for tags, so the drift of the two
//! machines within an hour counts (0.2 s at 50 ppm). A change of the server's wall clock while it runs has no effect,
//! since memcached's clock is monotonic.
//!
//! [`Store::ping`] writes to every server, reads back and requests the time. It returns the time of the first server,
//! which lags up to two seconds.
//!
//! # Several servers
//!
//! Each key belongs to one server, the one with the highest SHA-256 of key and address (rendezvous hashing), so a new
//! server takes over its share and no other key moves. Configure the same list in all processes, in any order. While a
//! server is down, its keys are [`ErrorKind::Unavailable`]. They are never looked up on another server, which could
//! have an old copy.
//!
//! # Stored items
//!
//! ```text
//! <prefix><key>       format 1, version (8 bytes), deadline (8 bytes), 0 or 40, the tag and its time, the value
//! <prefix>tag:<tag>   the keys that were put with the tag, each until some time (32 + 8 bytes); may list too many
//! <prefix>life        8 random bytes, which detect a restart
//! ```
//!
//! Times in a tag's item, and the time in a value until which the tag lists it, are by the clock of the server that has
//! the tag's item. An item has at most 1 MiB, or the size that the server was started with (`-I`). A save of a larger
//! value fails with [`ErrorKind::TooLarge`], and the old value stays. A save with a tag fails in the same way if the
//! tag has more than 26,000 keys; they count until their time is over, even if their sessions have ended.
//!
//! If memcached has no memory and must not evict (`-M`), a save fails with [`ErrorKind::Full`], **and memcached drops
//! the old value**. If it evicts a tag's item, sessions are not found by their principal until they are saved again.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod address;
mod error;
mod format;
mod handshake;
mod items;
mod options;
mod scan;
mod server;
mod tags;
mod tokens;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::{random_key, write_and_read_back_under};
use ampoule_core::{
    Clock, Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, SystemClock,
    Tag, Time, Version,
};

use self::format::{Header, Item};
pub use self::options::MemcachedOptions;
use self::server::Server;
use self::tokens::Tokens;

/// A store of sessions in memcached.
///
/// A handle that is cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct MemcachedStore(Arc<Inner>);

struct Inner {
    servers: Vec<Server>,
    tokens: Tokens,
    options: MemcachedOptions,
}

impl MemcachedStore {
    /// Creates a store on the servers of this URL. It connects when it is first used.
    ///
    /// ```
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
    ///
    /// let store = MemcachedStore::connect("memcached://cache1,cache2:11212", MemcachedOptions::default())?;
    /// assert_eq!(store.describe(), "memcached at cache1:11211,cache2:11212, keys ampoule:* (may evict values)");
    ///
    /// let error = MemcachedStore::connect("memcached://user:secret@cache1", MemcachedOptions::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL or the prefix is invalid.
    pub fn connect(url: &str, options: MemcachedOptions) -> Result<MemcachedStore, Error> {
        let addresses = address::parse(url)?;
        if options.prefix.len() > 100 || !options.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(
                ErrorKind::Config,
                "invalid prefix: expected at most 100 printable characters of ASCII, without spaces",
            ));
        }
        let servers = addresses.into_iter().map(|address| Server::new(address, &options)).collect();
        Ok(MemcachedStore(Arc::new(Inner { servers, tokens: Tokens::default(), options })))
    }

    /// Returns the time from which the deadline of a new value is computed.
    fn now(&self) -> Time {
        self.test_time().unwrap_or_else(|| SystemClock.now())
    }

    /// Returns the time of the clock that tests set in place of the servers'.
    fn test_time(&self) -> Option<Time> {
        self.0.options.clock.as_ref().map(|clock| clock.now())
    }

    /// Returns whether a value that was read is live. By the servers' clocks every such value is.
    fn is_live(&self, header: &Header) -> bool {
        self.test_time().is_none_or(|now| header.deadline > now)
    }

    /// Returns when a value ends, by this process's clock.
    pub(crate) fn deadline_of(&self, item: &Item) -> Time {
        self.test_time().map_or_else(|| item.deadline(SystemClock.now()), |_| item.header.deadline)
    }

    /// Writes a value to each server, reads it back and removes it.
    async fn check(&self) -> Result<Time, Error> {
        let mut first = None;
        for (index, server) in self.0.servers.iter().enumerate() {
            write_and_read_back_under(self, self.random_key_of(index)?).await?;
            let time = server.time().await?;
            first.get_or_insert(time);
        }
        Ok(self.test_time().or(first).unwrap_or_else(|| SystemClock.now()))
    }

    /// Returns a random key that belongs to this server, as one key in `servers.len()` does.
    fn random_key_of(&self, server: usize) -> Result<StoreKey, Error> {
        loop {
            let key = random_key()?;
            if self.index_of(key.as_bytes()) == server {
                return Ok(key);
            }
        }
    }

    fn server_of(&self, name: &[u8; 32]) -> &Server {
        &self.0.servers[self.index_of(name)]
    }

    /// Returns the server that a key or tag belongs to, by rendezvous hashing.
    fn index_of(&self, name: &[u8; 32]) -> usize {
        let servers = &self.0.servers;
        if servers.len() == 1 {
            return 0;
        }
        let weight = |index: &usize| StoreKey::digest(&[name, servers[*index].address().as_bytes()].concat());
        (0..servers.len()).max_by_key(weight).unwrap_or(0)
    }
}

impl Store for MemcachedStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(async move {
            let found = self.item(key).await?;
            Ok(found.map(|item| Stored {
                version: item.header.version,
                deadline: self.deadline_of(&item),
                value: item.value(),
            }))
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(self.write(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.remove(key, None))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(self.keys_of(tag))
    }

    /// A page contains all keys of a server, which lists all its items for it: a costly operation, for tools only.
    fn scan<'a>(&'a self, cursor: Option<&'a str>, _: usize) -> Reply<'a, Page> {
        Reply::new(self.page(cursor))
    }

    /// Does nothing: memcached removes expired values by itself.
    fn sweep(&self, _: usize) -> Reply<'_, SweepReport> {
        Reply::ready(Ok(SweepReport::default()))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(self.check())
    }

    fn describe(&self) -> String {
        let servers: Vec<&str> = self.0.servers.iter().map(Server::address).collect();
        format!("memcached at {}, keys {}* (may evict values)", servers.join(","), self.0.options.prefix)
    }
}

impl std::fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemcachedStore({})", self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<String> {
        let store = MemcachedStore::connect(url, MemcachedOptions::default()).unwrap();
        let keys = (0..1_000_u32).map(|number| StoreKey::digest(&number.to_be_bytes()));
        keys.map(|key| store.server_of(key.as_bytes()).address().to_owned()).collect()
    }

    /// A change of these would lose every session of users who update.
    #[test]
    fn the_order_of_the_urls_hosts_does_not_matter() {
        let places = places("memcached://a,b,c:7");
        assert_eq!(places[..8].join(" "), "c:7 b:11211 a:11211 b:11211 a:11211 a:11211 a:11211 a:11211");
        assert_eq!(places, self::places("memcached://c:7,B:11211,a/"));
    }

    #[test]
    fn a_new_server_takes_its_share_and_no_other_key_moves() {
        let (three, four) = (places("memcached://a,b,c"), places("memcached://a,b,c,d"));
        let moved = three.iter().zip(&four).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(_, after)| after == "d:11211"));
        let moved = moved.count();
        assert!((200..300).contains(&moved), "{moved} of 1000 moved to the fourth server");
    }
}
