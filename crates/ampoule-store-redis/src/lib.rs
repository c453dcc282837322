//! Ampoule sessions in Redis 6.2 or later, or Valkey: a single server, one behind Sentinel, or a Cluster.
//!
//! ```no_run
//! use ampoule_store_redis::{RedisOptions, RedisStore};
//!
//! let store = RedisStore::connect("redis://cache.example/0", RedisOptions::default())?;
//! # Ok::<(), ampoule_core::Error>(())
//! ```
//!
//! | URL | what it leads to |
//! |---|---|
//! | `redis://user:password@host:6379/0` | a single server; `rediss://` with TLS, verified by the system's roots |
//! | `redis+unix:///run/redis.sock` | a single server on this machine |
//! | `redis+sentinel://user:password@host:26379,host2:26379/mymaster/0` | the master of that name, wherever it now is |
//! | `redis+cluster://user:password@host:6379,host2:6379` | a Cluster, found by any of its nodes |
//!
//! `rediss+sentinel://` and `rediss+cluster://` are the same with TLS. `sentinel`, `cluster` and TLS (`tls-ring` or
//! `tls-aws-lc-rs`) are cargo features, none of them on by default; `valkey` in place of `redis` means the same too.
//!
//! Reading is one GET, a new session without a principal one SET, any other write one Lua script of one key, so a Cluster
//! serves them all. Nothing is connected before it is needed, and a connection that broke is made again by the next
//! request: after a restart, a failover or a moved slot.
//!
//! A write whose connection breaks before its answer comes is sent once more. Each names the version that it writes, so the
//! second finds what the first has done. Where it finds neither that nor the version it expected, another may have
//! replaced it since, and the error is [`ErrorKind::Timeout`](ampoule_core::ErrorKind::Timeout): nothing is known. A delete
//! that is sent twice says what the second found.
//!
//! # The time
//!
//! Redis's own clock decides what is live: each value has a time to live, and is gone when that is over. Clocks of clients
//! take no part in it, and may be wrong. The deadline in a value ([`Stored::deadline`]) is by the server's clock too, which a
//! writer asks once a minute; it is good to tell how long ago the value was used. [`Store::ping`] returns the server's time,
//! in a Cluster that of one of its nodes.
//!
//! # What a save outlives
//!
//! Redis answers a write before it is on a disk or a replica. **With its own settings a crash loses the last second of
//! saves, and a failover whatever the replica had not received; sessions that ended may then live again** (promises P2
//! and P7). With `appendonly yes` and `appendfsync always` a crash of the server loses nothing that was acknowledged.
//! For failovers set [`RedisOptions::replicas`], which waits for replicas after each put and delete, and
//! `min-replicas-to-write`; even then Redis promises no more than to try (its documentation of `WAIT` says so).
//!
//! `maxmemory-policy` must be `noeviction` where `maxmemory` is set. Any other evicts live sessions, which logs users out,
//! and the sets by which the sessions of a user are found: revoking them then misses sessions that live, until a write or
//! a touch of each names it to its user again. The store warns of such a policy in the log when it first writes
//! and in [`Store::ping`], if it may read it (`INFO`).
//!
//! # TLS and rights
//!
//! With `rediss` the server's certificate is verified, and that it is for this host, by the CAs in the file `tls_ca_file`,
//! else by those of the system. `tls_cert_file` and `tls_key_file` are the client's own. They are parameters of the URL
//! (redis-py's `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` are read too) or [`RedisOptions::tls`]. `sentinel_user` and
//! `sentinel_password` are the login at the sentinels, if they have one. In all of these, and in the login of the URL, `@`
//! is `%40` and `/` is `%2F`. The driver takes its cryptography from the process; where the application has not installed
//! a default provider of rustls, the first connection by TLS installs that of ring.
//!
//! A user of the server needs these rights, with the prefix of the options:
//!
//! ```text
//! ACL SETUSER app on >password ~ampoule:* -@all
//! +get +set +getrange +setrange +unlink +pttl +pexpire +persist +zadd +zcard +zscore +zrem +zrange
//! +zrandmember +eval +evalsha +time +scan
//! ```
//!
//! And for some uses more: `+select` for another database than 0, `+wait` for replicas, `+role` behind Sentinel,
//! `+cluster|slots` in a Cluster, `+client|tracking` and `+ping` for [`Store::watch`], `+info` to be warned of evictions.
//!
//! # What it holds
//!
//! ```text
//! <prefix><key>       a string: format 1, version (8 bytes), deadline (15 digits, milliseconds), 0 or 32, the tag, the value
//! <prefix>tag:<tag>   a sorted set: the keys that were put with the tag, and when; it may hold too many, never too few
//! <prefix>wait        nothing, for ten seconds: what a write that was sent twice waits for (`replicas`)
//! ```
//!
//! Both have a time to live (`PTTL`); a tag's set lives a minute longer than the last of its values. When a key was put is
//! by the clock of the server that holds the set. A set is cleaned when it is read, and now and then when it grows.

// Each item says its feature, where docs.rs builds the pages.
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
use self::eviction::Eviction;
pub use self::options::RedisOptions;
use self::replicas::ReplicaPool;
use self::server_clock::ServerClock;

/// Sessions in Redis or Valkey.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    /// What all share that need not wait for replicas.
    connection: Connection,
    replicas: Option<ReplicaPool>,
    options: RedisOptions,
    clock: ServerClock,
    eviction: Eviction,
    /// The next version.
    versions: OnceLock<AtomicU64>,
}

/// What a key is called in Redis.
struct Name<'a> {
    prefix: &'a str,
    key: StoreKey,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        self.key.fmt(f)
    }
}

impl RedisStore {
    /// A store at this URL. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if the URL is invalid, or an option does not fit it.
    pub fn connect(url: &str, options: RedisOptions) -> Result<RedisStore, Error> {
        RedisStore::build(address::parse(url, &options.tls)?, options)
    }

    /// A store on the application's own client, for what a URL cannot say.
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
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if an option is invalid.
    #[cfg(feature = "redis-1")]
    pub fn with_client(client: redis::Client, options: RedisOptions) -> Result<RedisStore, Error> {
        RedisStore::build(Address::of_client(client), options)
    }

    /// A store on the application's own connection, which it may use for other work too. It tells nothing of changes by
    /// others, and cannot wait for replicas.
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
    /// [`ErrorKind::Config`](ampoule_core::ErrorKind::Config) if an option is invalid.
    #[cfg(feature = "redis-1")]
    pub fn with_connection_manager(
        manager: redis::aio::ConnectionManager,
        options: RedisOptions,
    ) -> Result<RedisStore, Error> {
        RedisStore::build(Address::of_manager(manager), options)
    }

    fn build(address: Address, options: RedisOptions) -> Result<RedisStore, Error> {
        options.check(address.waits())?;
        let address = Arc::new(address);
        let replicas = ReplicaPool::new(&address, &options);
        let connection = Connection::new(address, options.pool);
        Ok(RedisStore(Arc::new(Inner {
            connection,
            replicas,
            options,
            clock: ServerClock::default(),
            eviction: Eviction::default(),
            versions: OnceLock::new(),
        })))
    }

    /// The present by which the deadline of a new value is reckoned.
    async fn now(&self) -> Result<Time, Error> {
        match self.test_time().or_else(|| self.0.clock.now()) {
            Some(now) => Ok(now),
            None => Box::pin(self.ask_time()).await,
        }
    }

    /// The first time it also looks what else there is to know of the server.
    async fn ask_time(&self) -> Result<Time, Error> {
        let is_first = self.0.clock.is_unknown();
        let time = self.0.clock.ask(&self.0.connection).await?;
        if is_first {
            self.0.eviction.look(&self.0.connection).await;
        }
        Ok(time)
    }

    /// The present of the clock that decides in place of the server's.
    fn test_time(&self) -> Option<Time> {
        self.0.options.clock.as_ref().map(|clock| clock.now())
    }

    /// The moment that the deadline of every live value lies after: with the server's clock the earliest, since whatever is
    /// there is live.
    fn horizon(&self) -> Time {
        self.test_time().unwrap_or(Time::ZERO)
    }

    fn name(&self, key: StoreKey) -> Name<'_> {
        Name { prefix: &self.0.options.prefix, key }
    }

    /// Counted up from a random number: a system call for each write would be felt, and none of these comes back either.
    /// The first write draws it, not the start: a process may fork in between, and two must not count from one number.
    fn new_version(&self) -> Result<Version, Error> {
        let versions = match self.0.versions.get() {
            Some(versions) => versions,
            None => {
                let first = Version::random()?.0;
                self.0.versions.get_or_init(|| AtomicU64::new(first))
            }
        };
        Ok(Version(versions.fetch_add(1, Ordering::Relaxed)))
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let horizon = self.horizon();
        let Value::BulkString(bytes) = self.0.connection.read(&scripts::get(self.name(key))).await? else {
            return Ok(None);
        };
        let (header, value) = format::decode(bytes)?;
        let stored = Stored { value, version: header.version, deadline: header.deadline };
        Ok((header.deadline > horizon).then_some(stored))
    }

    async fn check(&self) -> Result<Time, Error> {
        write_and_read_back(self).await?;
        if let Some(time) = self.test_time() {
            return Ok(time);
        }
        self.0.eviction.look(&self.0.connection).await;
        self.0.clock.ask(&self.0.connection).await
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

    /// Redis frees what has expired by itself.
    fn sweep(&self, _: usize) -> Reply<'_, SweepReport> {
        Reply::ready(Ok(SweepReport::default()))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(self.check())
    }

    fn describe(&self) -> String {
        format!("Redis at {}, keys {}*", self.0.connection.place(), self.0.options.prefix)
    }

    /// By Redis's own tracking of keys, over a connection of its own. Not in a Cluster, whose nodes each tell of their own
    /// keys alone.
    fn watch(&self) -> Option<Box<dyn Watcher>> {
        self.0.connection.has_client().then(|| Box::new(watch::Watching::new(self.clone())) as Box<dyn Watcher>)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.describe())
    }
}
