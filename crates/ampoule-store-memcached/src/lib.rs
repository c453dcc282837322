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
//! It needs memcached 1.6.10 or later, whose meta commands tell the version of what was just written. Reading is one
//! command, and so is writing what was read before. The other promises hold: no lost update, no resurrection.
//!
//! # Several servers
//!
//! Each key belongs to one server, the one whose address gives the highest digest together with the key (rendezvous
//! hashing), so a server that is added takes over its share and no other key moves. Give all processes the same list, in
//! any order. While a server is down its keys are [`ErrorKind::Unavailable`], and never looked for on another, where an
//! old copy may lie.
//!
//! # What lies in it
//!
//! ```text
//! <prefix><key>       format 1, version (8 bytes), deadline (8 bytes, milliseconds), 0 or 32, the tag, the value
//! <prefix>tag:<tag>   the keys that were put with the tag, each with its deadline (32 + 8 bytes); may hold too many
//! ```
//!
//! The deadline in the value counts; memcached's own time to live, in seconds, only frees memory. Items have 1 MiB at
//! most, as the server is started (`-I`); a larger value is [`ErrorKind::TooLarge`], and so is a tag of more than 26,000
//! keys. If memcached evicts a tag's item, sessions that live are no longer found by their principal.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod format;
mod items;
mod scan;
mod server;
mod tags;
mod tokens;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, ErrorKind, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, SystemClock, Tag, Time,
};

use self::server::Server;
use self::tokens::Tokens;

/// How a [`MemcachedStore`] works.
#[derive(Clone)]
pub struct MemcachedOptions {
    /// What the names of all keys start with: `ampoule:` by default. At most 100 characters of ASCII without spaces.
    pub prefix: String,
    /// How many connections there are to each server at most: 16 by default.
    pub max_connections: usize,
    /// How long making a connection may take: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long to wait for a connection that others use: 2 seconds by default.
    pub pool_timeout: Duration,
    /// How long a command may take: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for MemcachedOptions {
    fn default() -> MemcachedOptions {
        MemcachedOptions {
            prefix: "ampoule:".to_owned(),
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            pool_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Sessions in memcached.
#[derive(Clone)]
pub struct MemcachedStore(Arc<Inner>);

struct Inner {
    servers: Vec<Server>,
    tokens: Arc<Tokens>,
    options: MemcachedOptions,
}

impl MemcachedStore {
    /// A store on the servers of this URL: `memcached://host,host:11211`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the URL or the prefix is none.
    pub fn connect(url: &str, options: MemcachedOptions) -> Result<MemcachedStore, Error> {
        let wrong = |message: &'static str| Error::new(ErrorKind::Config, message);
        let hosts =
            url.strip_prefix("memcached://").ok_or_else(|| wrong("expected memcached://host:11211,host2:11211"))?;
        let addresses: Vec<String> = hosts
            .trim_end_matches('/')
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .map(with_port)
            .collect();
        if addresses.is_empty() || addresses.iter().any(|address| address.contains(['/', '@', ' '])) {
            return Err(wrong("expected memcached://host:11211,host2:11211, without user or path"));
        }
        if options.prefix.len() > 100 || !options.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("a prefix has 100 characters of ASCII at most, and no spaces"));
        }
        let tokens = Arc::new(Tokens::default());
        let servers = addresses.into_iter().map(|address| Server::new(address, &options, &tokens)).collect();
        Ok(MemcachedStore(Arc::new(Inner { servers, tokens, options })))
    }

    fn now(&self) -> Time {
        self.0.options.clock.now()
    }

    /// The server that a name belongs to: rendezvous hashing.
    fn server_of(&self, bytes: &[u8; 32]) -> &Server {
        let weight = |server: &&Server| StoreKey::digest(&[bytes, server.address().as_bytes()].concat());
        let servers = &self.0.servers;
        if servers.len() == 1 { &servers[0] } else { servers.iter().max_by_key(weight).unwrap_or(&servers[0]) }
    }
}

fn with_port(host: &str) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !host.ends_with(']');
    if has_port { host.to_owned() } else { format!("{host}:11211") }
}

impl Store for MemcachedStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Box::pin(async move {
            let found = self.item(key).await?;
            Ok(found.map(|item| Stored {
                version: item.header.version,
                deadline: item.header.deadline,
                value: item.value(),
            }))
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Box::pin(self.write(key, entry, when))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Box::pin(self.move_deadline(key, deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Box::pin(self.remove(key))
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Box::pin(self.keys_of(tag))
    }

    /// A page is a whole server, which is asked for a list of all it holds: costly, and only for tools.
    fn scan<'a>(&'a self, from: Option<&'a str>, _: usize) -> Reply<'a, Page> {
        Box::pin(self.page(from))
    }

    /// Memcached frees what has expired by itself.
    fn sweep(&self, _: usize) -> Reply<'_, Swept> {
        Box::pin(async { Ok(Swept::default()) })
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
