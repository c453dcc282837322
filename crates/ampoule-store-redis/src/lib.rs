//! Ampoule sessions in Redis 6.2 or later, or Valkey: a single server, a master behind Sentinel, or a Cluster.
//!
//! ```no_run
//! use ampoule_store_redis::{RedisOptions, RedisStore};
//!
//! let store = RedisStore::connect("redis://cache.example/0", RedisOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! | URL | connects to |
//! |---|---|
//! | `redis://user:password@host:6379/0` | a single server, and its database 0 |
//! | `redis+unix:///run/redis.sock` | a single server on this machine |
//! | `redis+sentinel://user:password@host:26379,host2:26379/mymaster/0` | the current master of that name |
//! | `redis+cluster://user:password@host:6379,host2:6379` | a Cluster, through any of these nodes |
//!
//! `rediss`, `rediss+sentinel` and `rediss+cluster` connect by TLS. `sentinel`, `cluster` and TLS (`tls-ring` or
//! `tls-aws-lc-rs`) are cargo features, none of which is on by default. Each scheme can also be written with `valkey`
//! in place of `redis`.
//!
//! A read is one GET. Creating a session without a principal is one SET; any other write is one Lua script on one key,
//! after another one on the set of its tag if it has one. So all of them work in a Cluster. The store connects when it
//! is first used. The next request replaces a broken connection: after a restart, a failover or a moved slot.
//!
//! A write whose connection breaks before the answer arrives is sent once more. Each put contains its version, so the
//! second attempt detects a first one that succeeded. If it finds neither its own version nor the expected one, another
//! client may have replaced the value meanwhile; the outcome is unknown, and the error is
//! [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout). A delete that is sent twice returns what the second
//! attempt found.
//!
//! # The clock
//!
//! Redis's own clock decides which values are live: each value has a time to live, and is gone when that is over.
//! Clients' clocks do not matter, and may be wrong. The deadline in a value ([`Stored::deadline`]) is by the server's
//! clock too, which a writing process reads once a minute; use it only to compute how long ago the value was used.
//! [`Store::ping`] returns the server's time; in a Cluster, the time of one of its nodes.
//!
//! # Durability
//!
//! Redis answers a write before it is on a disk or a replica. **With Redis's default settings a crash loses all saves
//! since its last snapshot, which may be an hour old, and a failover loses what the replica had not received; sessions
//! that had ended may then live again**. With `appendonly yes` a crash loses about the last second
//! of saves, and with `appendfsync always` in addition no acknowledged write. For failovers set
//! `min-replicas-to-write`, and [`RedisOptions::replicas`], which waits for replicas after each put and delete. Even
//! then Redis gives no guarantee (see its documentation of `WAIT`).
//!
//! If `maxmemory` is set, `maxmemory-policy` must be `noeviction`. Any other policy evicts live sessions, which logs
//! users out, and the sets that list the sessions of a user. Revoking a user's sessions then misses live ones, until a
//! write or a touch of each adds it to the set again. The store logs a warning about such a policy at the first write
//! and at [`Store::ping`], if the user of the URL may read it (`INFO`).
//!
//! # TLS and permissions
//!
//! With `rediss` the server's certificate must be for this host and signed by a trusted CA: one in the file
//! `tls_ca_file`, or else one of the system's. `tls_cert_file` and `tls_key_file` are the client's certificate and its
//! key. These are parameters of the URL (redis-py's `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` are accepted too)
//! or [`RedisOptions::tls`]. `sentinel_user` and `sentinel_password` are the login at the sentinels, if they require
//! one. In all of these, and in the login of the URL, write `%40` for `@` and `%2F` for `/`. If rustls has no default
//! provider when the first connection with TLS is opened, the store installs the one that its feature compiles in,
//! `ring` if both are.
//!
//! The user of the URL needs these permissions, with the prefix of the options:
//!
//! ```text
//! ACL SETUSER app on >password ~ampoule:* -@all
//! +get +set +getrange +setrange +unlink +pttl +pexpire +persist +zadd +zcard +zscore +zrem +zrange
//! +zrandmember +eval +evalsha +time +scan
//! ```
//!
//! Some uses need more: `+select` for a database other than 0, `+wait` for replicas, `+role` behind Sentinel,
//! `+cluster|slots` in a Cluster, `+client|tracking` and `+ping` for [`Store::watch`], `+info` for the warning about
//! evictions.
//!
//! # Stored keys
//!
//! ```text
//! <prefix><key>       a string: format 1, version (8 bytes), deadline (15 digits, milliseconds), 0 or 32, the tag, the value
//! <prefix>tag:<tag>   a sorted set: the keys that were put with the tag, each with the time; may list too many, never too few
//! <prefix>wait        empty, for ten seconds: the write that WAIT waits for after a write that was sent twice (`replicas`)
//! ```
//!
//! Values and sets have a time to live (`PTTL`); a tag's set lives a minute longer than the last of its values. The
//! times in a set are by the clock of the server that has the set. Absent keys are removed from a set when it is
//! listed, and occasionally when it grows.

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod address;
mod certificates;
#[cfg(feature = "cluster")]
mod cluster;
mod connection;
mod error;
mod eviction;
mod format;
mod options;
mod replicas;
mod request;
mod scan;
mod scripts;
#[cfg(feature = "sentinel")]
mod sentinel;
mod server_clock;
mod tags;
mod watch;
mod write;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::{
    Entry, Error, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version, Watcher,
    write_and_read_back,
};
/// The driver, for [`RedisStore::with_client`] and [`RedisStore::with_connection_manager`].
#[cfg(feature = "redis-1")]
pub use redis as redis_1;
use redis::Value;

use self::address::Address;
use self::connection::Connection;
use self::eviction::EvictionPolicy;
pub use self::options::RedisOptions;
use self::replicas::ReplicaPool;
use self::server_clock::ServerClock;

/// A store of sessions in Redis or Valkey.
///
/// A handle that is cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    /// The connection of all requests that do not wait for replicas.
    connection: Connection,
    replicas: Option<ReplicaPool>,
    options: RedisOptions,
    clock: ServerClock,
    eviction: EvictionPolicy,
    /// The version of the next write.
    next_version: OnceLock<AtomicU64>,
}

/// The name of a key in Redis.
struct KeyName<'a> {
    prefix: &'a str,
    key: StoreKey,
}

impl fmt::Display for KeyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        self.key.fmt(f)
    }
}

impl RedisStore {
    /// Creates a store on the server of this URL. It connects when it is first used.
    ///
    /// ```
    /// use ampoule_core::{ErrorKind, Store};
    /// use ampoule_store_redis::{RedisOptions, RedisStore};
    ///
    /// let store = RedisStore::connect("redis://:secret@cache.example/3", RedisOptions::default())?;
    /// assert_eq!(store.describe(), "Redis at cache.example:6379/3, keys ampoule:*");
    ///
    /// let error = RedisStore::connect("redis://a.example,b.example", RedisOptions::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the URL or the prefix is invalid, if a file for TLS
    /// cannot be read, if the URL needs a cargo feature that is off, or if [`RedisOptions::replicas`] is set for a
    /// Cluster.
    pub fn connect(url: &str, options: RedisOptions) -> Result<RedisStore, Error> {
        RedisStore::build(address::parse(url, &options.tls)?, options)
    }

    /// Creates a store on the application's own client, for settings that a URL cannot express. It connects when it is
    /// first used.
    ///
    /// ```
    /// use ampoule_store_redis::redis_1::Client;
    /// use ampoule_store_redis::{RedisOptions, RedisStore};
    ///
    /// let client = Client::open("redis://cache.example/0")?;
    /// let store = RedisStore::with_client(client, RedisOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the prefix is longer than 100 bytes.
    #[cfg(feature = "redis-1")]
    pub fn with_client(client: redis::Client, options: RedisOptions) -> Result<RedisStore, Error> {
        RedisStore::build(Address::from_client(client), options)
    }

    /// Creates a store on the application's own connection, which the application may use for other work too. The store
    /// cannot report changes by others ([`Store::watch`]), and cannot wait for replicas.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use ampoule_store_redis::redis_1::Client;
    /// use ampoule_store_redis::{RedisOptions, RedisStore};
    ///
    /// let manager = Client::open("redis://cache.example/0")?.get_connection_manager().await?;
    /// let store = RedisStore::with_connection_manager(manager.clone(), RedisOptions::default())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the prefix is longer than 100 bytes, or
    /// [`RedisOptions::replicas`] is set.
    #[cfg(feature = "redis-1")]
    pub fn with_connection_manager(
        manager: redis::aio::ConnectionManager,
        options: RedisOptions,
    ) -> Result<RedisStore, Error> {
        RedisStore::build(Address::from_manager(manager), options)
    }

    fn build(address: Address, options: RedisOptions) -> Result<RedisStore, Error> {
        options.validate(address.supports_wait())?;
        let address = Arc::new(address);
        let replicas = ReplicaPool::new(&address, &options);
        let connection = Connection::new(address, options.pool);
        Ok(RedisStore(Arc::new(Inner {
            connection,
            replicas,
            options,
            clock: ServerClock::default(),
            eviction: EvictionPolicy::default(),
            next_version: OnceLock::new(),
        })))
    }

    /// Returns the time from which the deadline of a new value is computed.
    async fn now(&self) -> Result<Time, Error> {
        match self.test_time().or_else(|| self.0.clock.now()) {
            Some(now) => Ok(now),
            None => Box::pin(self.fetch_time()).await,
        }
    }

    /// Reads the server's time, and at the first call checks its eviction policy.
    async fn fetch_time(&self) -> Result<Time, Error> {
        let is_first = self.0.clock.is_unknown();
        let time = self.0.clock.fetch(&self.0.connection).await?;
        if is_first {
            self.0.eviction.check(&self.0.connection).await;
        }
        Ok(time)
    }

    /// Returns the time of the clock that tests set in place of the server's.
    fn test_time(&self) -> Option<Time> {
        self.0.options.clock.as_ref().map(|clock| clock.now())
    }

    /// Returns the time that the deadline of every live value is after. By the server's clock that is the earliest
    /// time, since every value that exists is live.
    fn live_after(&self) -> Time {
        self.test_time().unwrap_or(Time::ZERO)
    }

    fn name(&self, key: StoreKey) -> KeyName<'_> {
        KeyName { prefix: &self.0.options.prefix, key }
    }

    /// Returns a version that no other write has. Versions count up from a random number, since a system call for each
    /// write would be too slow. The number is drawn at the first write, not when the store is created: a process that
    /// forks in between must not count from the same number as its parent.
    fn next_version(&self) -> Result<Version, Error> {
        let next_version = match self.0.next_version.get() {
            Some(next_version) => next_version,
            None => {
                let first = Version::random()?.0;
                self.0.next_version.get_or_init(|| AtomicU64::new(first))
            }
        };
        Ok(Version(next_version.fetch_add(1, Ordering::Relaxed)))
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let live_after = self.live_after();
        let Value::BulkString(bytes) = self.0.connection.read(&scripts::get(self.name(key))).await? else {
            return Ok(None);
        };
        let (header, value) = format::decode(bytes)?;
        let stored = Stored { value, version: header.version, deadline: header.deadline };
        Ok((header.deadline > live_after).then_some(stored))
    }

    /// Writes a value, reads it back, and returns the server's time.
    async fn check(&self) -> Result<Time, Error> {
        write_and_read_back(self).await?;
        if let Some(time) = self.test_time() {
            return Ok(time);
        }
        self.0.eviction.check(&self.0.connection).await;
        self.0.clock.fetch(&self.0.connection).await
    }
}

impl Store for RedisStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(self.write(key, entry, mode))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.remove(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(self.keys_of(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.page(cursor, budget))
    }

    /// Does nothing: Redis removes expired values by itself.
    fn sweep(&self, _: usize) -> Reply<'_, SweepReport> {
        Reply::ready(Ok(SweepReport::default()))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(self.check())
    }

    fn describe(&self) -> String {
        format!("Redis at {}, keys {}*", self.0.connection.location(), self.0.options.prefix)
    }

    /// Uses Redis's tracking of keys, over a connection of its own. `None` for a Cluster, each of whose nodes tracks
    /// only its own keys, and for a connection of the application.
    fn watch(&self) -> Option<Box<dyn Watcher>> {
        self.0
            .connection
            .can_create_client()
            .then(|| Box::new(watch::RedisWatcher::new(self.clone())) as Box<dyn Watcher>)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.describe())
    }
}
