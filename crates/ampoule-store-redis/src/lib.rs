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
//! serves them all. Nothing is connected before it is needed, and a connection that broke is made again by the next
//! request: after a restart, a failover or a moved slot.
//!
//! A write whose connection breaks before its answer comes is sent once more. Each names the version that it writes, so the
//! second finds what the first has done. Where it finds neither that nor the version it expected, another may have
//! replaced it since, and the error is [`ErrorKind::Timeout`]: nothing is known. A delete that is sent twice says what the
//! second found.
//!
//! # The time
//!
//! Redis's own clock decides what is live: each value has a time to live, and is gone when that is over. Clocks of clients
//! take no part in it, and may be wrong. The deadline in a value ([`Stored::deadline`]) is by the clock of its writer, and
//! good to tell how long ago it was used. [`Store::ping`] returns the server's time, in a Cluster that of one of its nodes.
//!
//! # What a save outlives
//!
//! Redis answers a write before it is on a disk or a replica. **With its own settings a crash loses the last second of
//! saves, and a failover whatever the replica had not received; sessions that ended may then live again** (promises P2
//! and P7). With `appendonly yes` and `appendfsync always` a crash of the server loses nothing that was acknowledged.
//! For failovers set [`RedisOptions::replicas`], which waits for replicas after each put, and
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
//! Both have a time to live (`PTTL`); a tag's set lives a minute longer than the last of its values. When a key was put is
//! by the clock of the server that holds the set. A set is cleaned when it is read, and now and then when it grows.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod address;
mod cluster;
mod connection;
mod error;
mod format;
mod scan;
mod scripts;
mod tags;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ampoule_core::{
    Clock, Entry, Error, ErrorKind, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, SystemClock,
    Tag, Time, Version, Watcher, write_and_read_back,
};
use redis::Value;

use self::connection::{Answer, Connection};
use self::scripts::{Call, Touch};

/// How a [`RedisStore`] works.
#[derive(Clone)]
pub struct RedisOptions {
    /// What the names of all keys start with: `ampoule:` by default. Applications on one server need different ones.
    pub prefix: String,
    /// How many replicas must have received a put before it counts, on a single server or behind Sentinel: 0 by
    /// default. Where fewer answer within `command_timeout` it is [`ErrorKind::Timeout`]: the server has the value, and
    /// may lose it.
    pub replicas: usize,
    /// How long making a connection may take, finding the master included: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long a command may take: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time, for tests: a value is then live until this clock reaches the deadline in it. `None`, the
    /// default, leaves that to the server's clock.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for RedisOptions {
    fn default() -> RedisOptions {
        RedisOptions {
            prefix: "ampoule:".to_owned(),
            replicas: 0,
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: None,
        }
    }
}

/// Sessions in Redis or Valkey.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    connection: Connection,
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
        let connection = Connection::new(address, options.connect_timeout, options.command_timeout);
        Ok(RedisStore(Arc::new(Inner { connection, options, versions: OnceLock::new() })))
    }

    /// The present by which the deadline of a new value is reckoned.
    fn now(&self) -> Time {
        self.test_time().unwrap_or_else(|| SystemClock.now())
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
                let first = getrandom::u64().map_err(|cause| error::no_random(cause.to_string()))?;
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

    async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let version = self.new_version()?;
        let ttl = format::ttl(entry.lifetime);
        if ttl == Some(0) {
            let remove = scripts::put(self.name(key), self.horizon(), mode, b"", None);
            return self.result_of(self.0.connection.run(&remove).await?, version).await;
        }
        let value = format::encode(version, self.now() + entry.lifetime, &entry);
        let mut resent = false;
        if mode == PutMode::Create && entry.tag.is_none() {
            let answer = self.0.connection.write(&scripts::create(self.name(key), &value, ttl)).await?;
            if answer.value != Value::Nil {
                return self.result_of(Answer { value: Value::Int(1), ..answer }, version).await;
            }
            resent = answer.resent;
        }
        let put = scripts::put(self.name(key), self.horizon(), mode, &value, ttl);
        let answer = match entry.tag {
            Some(tag) => Box::pin(self.write_with_tag(tag, [self.add_to_tag(tag, key, ttl), put])).await?,
            None => self.0.connection.run(&put).await?,
        };
        self.result_of(Answer { resent: answer.resent || resent, ..answer }, version).await
    }

    /// The tag first, so that it never knows too few.
    async fn write_with_tag(&self, tag: Tag, calls: [Call; 2]) -> Result<Answer, Error> {
        let mut answers = self.0.connection.run_all(&calls).await?;
        let put = answers.pop().ok_or_else(format::damaged)?;
        if let Some(Answer { value: Value::Int(size), .. }) = answers.pop() {
            self.clean_now_and_then(tag, size).await;
        }
        Ok(put)
    }

    async fn result_of(&self, answer: Answer, version: Version) -> Result<PutResult, Error> {
        if done(&answer)? {
            self.wait_for_replicas(&answer).await?;
            return Ok(PutResult::Stored(version));
        }
        Ok(PutResult::Conflict)
    }

    /// On the connection of the write: on any other Redis would wait for nothing.
    async fn wait_for_replicas(&self, written: &Answer) -> Result<(), Error> {
        let RedisOptions { replicas, command_timeout, .. } = self.0.options;
        if replicas == 0 {
            return Ok(());
        }
        let patience = command_timeout.as_millis() as u64 * 3 / 4;
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas).arg(patience.max(1));
        match Box::pin(self.0.connection.follow(written, &wait)).await? {
            Value::Int(received) if usize::try_from(received).is_ok_and(|received| received >= replicas) => Ok(()),
            _ => {
                let message = format!("fewer than {replicas} replicas received a write in time (replicas)");
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    /// A value with a tag does not live longer before its tag does.
    async fn move_deadline(&self, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let touch = Touch { version, deadline: self.now() + lifetime, ttl: format::ttl(lifetime) };
        let touch = |tag_lives| scripts::touch(self.name(key), self.horizon(), touch, tag_lives);
        let first = self.0.connection.run(&touch(false)).await?;
        let Value::BulkString(tag) = first.value else { return done(&first) };
        let tag = Tag::new(tag.try_into().map_err(|_| format::damaged())?);
        let calls = [self.add_to_tag(tag, key, format::ttl(lifetime)), touch(true)];
        let second = self.0.connection.run_all(&calls).await?.pop().ok_or_else(format::damaged)?;
        done(&Answer { resent: first.resent || second.resent, ..second })
    }

    async fn remove(&self, key: StoreKey) -> Result<bool, Error> {
        let delete = scripts::delete(self.name(key), self.horizon());
        Ok(self.0.connection.run(&delete).await?.value == Value::Int(1))
    }

    async fn check(&self) -> Result<Time, Error> {
        write_and_read_back(self).await?;
        if let Some(time) = self.test_time() {
            return Ok(time);
        }
        let time = self.0.connection.read(&redis::cmd("TIME")).await?;
        let (seconds, micros) = redis::from_redis_value::<(u64, u64)>(time).map_err(|_| format::damaged())?;
        Ok(Time::ZERO + Duration::from_secs(seconds) + Duration::from_micros(micros))
    }
}

/// Whether a conditional write was done. Refused the second time, it may have been done the first.
fn done(answer: &Answer) -> Result<bool, Error> {
    match answer.value == Value::Int(1) {
        false if answer.resent => Err(error::unknown()),
        done => Ok(done),
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
        (!self.0.connection.is_cluster()).then(|| Box::new(watch::Watching::new(self.clone())) as Box<dyn Watcher>)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.describe())
    }
}
