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
//! `rediss+sentinel://` and `rediss+cluster://` are the same with TLS; `valkey` in place of `redis` means the same too.
//!
//! Reading is one GET, a new session without a principal one SET, any other write one Lua script of one key, so a Cluster
//! serves them all. Nothing is connected before it is needed, and what broke is connected again by the next request: after
//! a restart, a failover or a moved slot.
//!
//! # What a save outlives
//!
//! Redis answers a write before it is on a disk or a replica. **With its own settings a crash loses the last second of
//! saves, and a failover whatever the replica had not received; sessions that ended may then live again** (promises P2
//! and P7). With `appendonly yes` and `appendfsync always` a crash of the server loses nothing that was acknowledged.
//! For failovers set [`RedisOptions::replicas`], which waits for replicas after each write, and
//! `min-replicas-to-write`; even then Redis promises no more than to try (its documentation of `WAIT` says so).
//! `maxmemory-policy` must be `noeviction` or one of the `volatile-ttl` kind that you accept: eviction logs users out.
//!
//! # What lies in it
//!
//! ```text
//! <prefix><key>       a string: format 1, version (8 bytes), deadline (15 digits, milliseconds), 0 or 32, the tag, the value
//! <prefix>tag:<tag>   a sorted set: the keys that were put with the tag, and when; it may hold too many, never too few
//! ```
//!
//! Both expire by Redis's own clock when their deadline comes. A tag's set is cleaned when it is read, and now and then
//! when it grows.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod address;
mod error;
mod format;
mod link;
mod scan;
mod scripts;
mod tags;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, ErrorKind, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, SystemClock, Tag, Time,
    Version, Watch,
};
use redis::Value;

use self::link::Link;
use self::scripts::Call;

/// How a [`RedisStore`] works.
#[derive(Clone)]
pub struct RedisOptions {
    /// What the names of all keys start with: `ampoule:` by default. Applications on one server need different ones.
    pub prefix: String,
    /// How many replicas must have received a write before it counts, on a single server or behind Sentinel: 0 by
    /// default. Where fewer answer within `command_timeout` the save is an error, though it may have been done.
    pub replicas: usize,
    /// How long making a connection may take, finding the master included: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long a command may take: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time; the system's clock by default.
    pub clock: Arc<dyn Clock>,
}

impl Default for RedisOptions {
    fn default() -> RedisOptions {
        RedisOptions {
            prefix: "ampoule:".to_owned(),
            replicas: 0,
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Sessions in Redis or Valkey.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    link: Link,
    options: RedisOptions,
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
    /// [`ErrorKind::Config`] if the URL is none, or an option does not fit it.
    pub fn connect(url: &str, options: RedisOptions) -> Result<RedisStore, Error> {
        if options.prefix.len() > 100 {
            return Err(Error::new(ErrorKind::Config, "a prefix has 100 bytes at most"));
        }
        let address = address::parse(url)?;
        if options.replicas > 0 && address.is_cluster() {
            let message = "replicas cannot be waited for in a Cluster: use min-replicas-to-write on its nodes";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let link = Link::new(address, options.connect_timeout, options.command_timeout);
        Ok(RedisStore(Arc::new(Inner { link, options, versions: OnceLock::new() })))
    }

    fn now(&self) -> Time {
        self.0.options.clock.now()
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
                let first = getrandom::u64().map_err(|cause| error::no_random(cause.to_string()))?;
                self.0.versions.get_or_init(|| AtomicU64::new(first))
            }
        };
        Ok(Version(versions.fetch_add(1, Ordering::Relaxed)))
    }

    async fn read(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        let now = self.now();
        let Value::BulkString(bytes) = self.0.link.ask(&scripts::get(self.name(key))).await? else {
            return Ok(None);
        };
        let (header, value) = format::decode(bytes)?;
        let stored = Stored { value, version: header.version, deadline: header.deadline };
        Ok((header.deadline > now).then_some(stored))
    }

    async fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let (now, version) = (self.now(), self.new_version()?);
        let remove = entry.deadline <= now;
        let value = if remove { Vec::new() } else { format::encode(version, &entry) };
        let ttl = format::ttl(entry.deadline, now).filter(|_| !remove);
        let mut done = false;
        if when == Put::Create && entry.tag.is_none() && !remove {
            done = self.0.link.ask(&scripts::create(self.name(key), &value, ttl)).await? != Value::Nil;
        }
        if !done {
            let put = scripts::put(self.name(key), now, when, &value, ttl);
            let add = entry.tag.filter(|_| !remove).map(|tag| (tag, self.add_to_tag(tag, key, entry.deadline, now)));
            let answer = match add {
                Some((tag, add)) => Box::pin(self.write_with_tag(tag, [add, put])).await?,
                None => self.0.link.run(&put).await?,
            };
            done = answer == Value::Int(1);
        }
        if done {
            self.wait_for_replicas().await?;
        }
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    /// The tag first, so that it never knows too few.
    async fn write_with_tag(&self, tag: Tag, calls: [Call; 2]) -> Result<Value, Error> {
        let mut answers = self.0.link.run_all(&calls).await?;
        let put = answers.pop().unwrap_or(Value::Nil);
        if let Some(Value::Int(size)) = answers.pop() {
            self.clean_now_and_then(tag, size).await;
        }
        Ok(put)
    }

    async fn wait_for_replicas(&self) -> Result<(), Error> {
        let RedisOptions { replicas, command_timeout, .. } = self.0.options;
        if replicas == 0 {
            return Ok(());
        }
        let patience = command_timeout.as_millis() as u64 * 3 / 4;
        match Box::pin(self.0.link.ask(redis::cmd("WAIT").arg(replicas).arg(patience.max(1)))).await? {
            Value::Int(received) if usize::try_from(received).is_ok_and(|received| received >= replicas) => Ok(()),
            _ => {
                let message = format!("fewer than {replicas} replicas received a write in time (replicas)");
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    /// A value with a tag is not touched before its tag is known to live as long.
    async fn move_deadline(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let now = self.now();
        if deadline <= now {
            return self.remove(key).await;
        }
        let ttl = format::ttl(deadline, now);
        let touch = |tagged| scripts::touch(self.name(key), now, deadline, ttl, tagged);
        let first = self.0.link.run(&touch(false)).await?;
        let Value::BulkString(tag) = first else { return Ok(first == Value::Int(1)) };
        let tag = Tag::new(tag.try_into().map_err(|_| format::damaged())?);
        let commands = [self.add_to_tag(tag, key, deadline, now), touch(true)];
        Ok(self.0.link.run_all(&commands).await?.pop() == Some(Value::Int(1)))
    }

    async fn remove(&self, key: StoreKey) -> Result<bool, Error> {
        Ok(self.0.link.run(&scripts::delete(self.name(key), self.now())).await? == Value::Int(1))
    }
}

impl Store for RedisStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.read(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Reply::new(self.write(key, entry, when))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(self.move_deadline(key, deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.remove(key))
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(self.keys_of(tag))
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.page(from, budget))
    }

    /// Redis frees what has expired by itself.
    fn sweep(&self, _: usize) -> Reply<'_, Swept> {
        Reply::ready(Ok(Swept::default()))
    }

    fn describe(&self) -> String {
        format!("Redis at {}, keys {}*", self.0.link.place(), self.0.options.prefix)
    }

    /// By Redis's own tracking of keys, over a connection of its own. Not in a Cluster, whose nodes each tell of their own
    /// keys alone.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        (!self.0.link.is_cluster()).then(|| Box::new(watch::Watching::new(self.clone())) as Box<dyn Watch>)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.describe())
    }
}
