//! Ampoule sessions in memcached, **which may evict a session, and forgets all of them when it restarts**: promise P7
//! cannot be kept there, and a user may be logged out at any time. Where that matters choose Redis or a database.
//!
//! ```no_run
//! use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
//!
//! let store = MemcachedStore::connect("memcached://cache1.example,cache2.example:11211", MemcachedOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! | URL | what it leads to |
//! |---|---|
//! | `memcached://host:11211,host2` | these servers; each name is one process, and 11211 is the port of those without |
//! | `memcached+unix:///run/memcached.sock` | one server on this machine |
//!
//! It needs memcached 1.6.13 or later, with its tokens (not `-C`), and no password. The other promises hold: no lost
//! update, no resurrection. Reading is one command; so is saving or deleting what this process has read, and a touch is
//! two. A value with a tag takes a second command, which goes along in the same trip; the first save of a login, and
//! about every quarter of a lifetime one more, takes three trips.
//!
//! A write is sent once. If its connection breaks before the answer comes, the error is [`ErrorKind::Timeout`], since it
//! may have been done; a read is sent again.
//!
//! # The time
//!
//! memcached's own clock decides what is live: each item has a time to live, and is gone when that is over. Clocks of
//! clients take no part in it, and may be wrong. **That clock has whole seconds and lags up to two, so a value is never
//! gone early, but may live up to two seconds longer**, its lifetime rounded up to whole seconds; and up to five beyond 30
//! days, for which memcached must be told a moment. A deadline after January 2038 is one that it does not understand: such
//! values live until they are evicted.
//!
//! A reader reckons [`Stored::deadline`] by its own clock, from the time that memcached says is left; to the millisecond
//! where the writer's clock agrees with the reader's, else to three seconds.
//!
//! What the clock of a process still decides is little: a value without an end (or beyond 2038) has the deadline that its
//! writer reckoned; and a server's clock is read once an hour, for moments beyond 30 days and for tags, so that the rates
//! of two machines may differ by as much as that makes (0.2 s at 50 ppm). A server whose clock is set while it runs takes
//! no note of it: its own is monotonic.
//!
//! [`Store::ping`] writes to every server, reads back and asks for its time. It returns that of the first, which lags up to
//! two seconds.
//!
//! # Several servers
//!
//! Each key belongs to one server, the one whose address gives the highest SHA-256 of key and address (rendezvous
//! hashing), so a server that is added takes over its share and no other key moves. Give all processes the same list, in
//! any order. While a server is down its keys are [`ErrorKind::Unavailable`], and never looked for on another, where an
//! old copy may lie.
//!
//! # What it holds
//!
//! ```text
//! <prefix><key>       format 1, version (8 bytes), deadline (8 bytes), 0 or 40, the tag and its time, the value
//! <prefix>tag:<tag>   the keys that were put with the tag, each until some time (32 + 8 bytes); may hold too many
//! <prefix>life        8 random bytes, by which a restart is seen
//! ```
//!
//! Times in a tag's item, and what a value says of them, are by the clock of the server that holds the item. An item has
//! 1 MiB at most, or as much as the server was started with (`-I`). A larger value is [`ErrorKind::TooLarge`], and what was
//! there stands; so is a tag of more than 26,000 keys, among which those of ended sessions stay until their time is over.
//!
//! When memcached has no memory and may evict nothing (`-M`), a save is [`ErrorKind::Full`], **and memcached drops what
//! was there**. If it evicts a tag's item, sessions are not found by their principal until they are saved again.

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

/// Sessions in memcached.
///
/// A cheap handle: clones share the connections.
#[derive(Clone)]
pub struct MemcachedStore(Arc<Inner>);

struct Inner {
    servers: Vec<Server>,
    tokens: Tokens,
    options: MemcachedOptions,
}

impl MemcachedStore {
    /// A store on the servers of this URL. Nothing is connected yet.
    ///
    /// ```
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
    ///
    /// let store = MemcachedStore::connect("memcached://cache1,cache2:11212", MemcachedOptions::default())?;
    /// assert_eq!(store.describe(), "memcached at cache1:11211,cache2:11212, keys ampoule:* (may evict sessions)");
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
            return Err(Error::new(ErrorKind::Config, "a prefix has 100 characters of ASCII at most, and no spaces"));
        }
        let servers = addresses.into_iter().map(|address| Server::new(address, &options)).collect();
        Ok(MemcachedStore(Arc::new(Inner { servers, tokens: Tokens::default(), options })))
    }

    /// The present by which the deadline of a new value is reckoned.
    fn now(&self) -> Time {
        self.test_time().unwrap_or_else(|| SystemClock.now())
    }

    /// The present of the clock that decides in place of the servers'.
    fn test_time(&self) -> Option<Time> {
        self.0.options.clock.as_ref().map(|clock| clock.now())
    }

    /// Whether a value that is there lives. By the servers' clocks each does.
    fn is_live(&self, header: &Header) -> bool {
        self.test_time().is_none_or(|now| header.deadline > now)
    }

    /// When a value ends, by this process's clock.
    pub(crate) fn deadline_of(&self, item: &Item) -> Time {
        self.test_time().map_or_else(|| item.deadline(SystemClock.now()), |_| item.header.deadline)
    }

    /// A value is written and removed on each server.
    async fn check(&self) -> Result<Time, Error> {
        let mut first = None;
        for (index, server) in self.0.servers.iter().enumerate() {
            write_and_read_back_under(self, self.random_key_of(index)?).await?;
            let time = server.time().await?;
            first.get_or_insert(time);
        }
        Ok(self.test_time().or(first).unwrap_or_else(|| SystemClock.now()))
    }

    /// A key that belongs to this server: one in so many as there are servers does.
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

    /// The server that a key or tag belongs to: rendezvous hashing.
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

    /// A page is a whole server, which is asked for a list of all it holds: costly, and only for tools.
    fn scan<'a>(&'a self, cursor: Option<&'a str>, _: usize) -> Reply<'a, Page> {
        Reply::new(self.page(cursor))
    }

    /// Memcached frees what has expired by itself.
    fn sweep(&self, _: usize) -> Reply<'_, SweepReport> {
        Reply::ready(Ok(SweepReport::default()))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(self.check())
    }

    fn describe(&self) -> String {
        let servers: Vec<&str> = self.0.servers.iter().map(Server::address).collect();
        format!("memcached at {}, keys {}* (may evict sessions)", servers.join(","), self.0.options.prefix)
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

    /// A change of these would lose every session of those who update.
    #[test]
    fn a_key_has_one_place_whatever_the_order() {
        let places = places("memcached://a,b,c:7");
        assert_eq!(places[..8].join(" "), "c:7 b:11211 a:11211 b:11211 a:11211 a:11211 a:11211 a:11211");
        assert_eq!(places, self::places("memcached://c:7,B:11211,a/"));
    }

    #[test]
    fn a_new_server_takes_its_share_and_moves_nothing_else() {
        let (three, four) = (places("memcached://a,b,c"), places("memcached://a,b,c,d"));
        let moved = three.iter().zip(&four).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(_, after)| after == "d:11211"));
        let moved = moved.count();
        assert!((200..300).contains(&moved), "{moved} of 1000 moved to the fourth server");
    }
}
