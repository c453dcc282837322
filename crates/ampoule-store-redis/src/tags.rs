//! The keys of a tag: a set that may hold too many, since it is written before the value, and never too few.

use std::time::Duration;

use ampoule_core::{Error, StoreKey, Tag};
use redis::{RedisWrite, Value};

use crate::scripts::{self, Call};
use crate::{Name, RedisStore, format};

/// A key whose value is not there may have one in a moment: its writer names it first. After this time it has none.
const GRACE: Duration = Duration::from_secs(60);

/// A smaller set is not cleaned by those who write to it.
const CLEAN_FROM: i64 = 64;

/// Of so many writers one cleans, by a byte of its random key.
const CLEANERS: u8 = 16;

/// A writer that cleans looks at so many keys, at random. So a write costs the same however large the set is, and in the
/// long run a quarter of it may be gone at most, since a key that is gone is found as fast as keys are added.
const SAMPLE: usize = 64;

/// At most so many keys are looked at, or taken out, in one step.
const MAX_STEP: usize = 1_000;

impl RedisStore {
    fn tag_name(&self, tag: Tag) -> String {
        format!("{}tag:{tag}", self.0.options.prefix)
    }

    /// What names a key to its tag, for as long as its value lives and a little longer.
    pub(crate) fn add_to_tag(&self, tag: Tag, key: StoreKey, ttl: Option<u64>) -> Call {
        let ttl = ttl.map(|ttl| ttl + GRACE.as_millis() as u64);
        scripts::add(&self.tag_name(tag), self.test_time(), key.as_bytes(), ttl)
    }

    /// Asks each value whether it still has the tag, and takes out of the set those that are gone.
    pub(crate) async fn keys_of(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let named = self.0.connection.read(redis::cmd("ZRANGE").arg(self.tag_name(tag)).arg(0).arg(-1)).await?;
        self.live_of(tag, keys_in(named)?).await
    }

    async fn live_of(&self, tag: Tag, keys: Vec<StoreKey>) -> Result<Vec<StoreKey>, Error> {
        let horizon = self.horizon();
        let (mut live, mut gone) = (Vec::new(), Vec::new());
        for keys in keys.chunks(MAX_STEP) {
            let heads: Vec<_> = keys.iter().map(|key| head(self.name(*key))).collect();
            let heads = self.0.connection.read_all(&heads).await?;
            for (key, head) in keys.iter().zip(heads) {
                let Value::BulkString(head) = head else { continue };
                let header = if head.is_empty() { None } else { Some(format::decode_header(&head)?) };
                match header.filter(|header| header.deadline > horizon) {
                    Some(header) if header.tag == Some(tag) => live.push(*key),
                    _ => gone.push(*key),
                }
            }
        }
        self.forget(tag, &gone).await?;
        Ok(live)
    }

    /// Removes keys from the set, but none that was named lately: its value may be on the way.
    async fn forget(&self, tag: Tag, gone: &[StoreKey]) -> Result<(), Error> {
        for gone in gone.chunks(MAX_STEP) {
            let members: Vec<&[u8]> = gone.iter().map(|key| &key.as_bytes()[..]).collect();
            self.0.connection.run(&scripts::forget(&self.tag_name(tag), self.test_time(), GRACE, &members)).await?;
        }
        Ok(())
    }

    /// Keeps the set of a user who logs in again and again, and is never looked at, in bounds (promise P9).
    pub(crate) async fn clean_now_and_then(&self, tag: Tag, key: StoreKey, size: i64) {
        if size >= CLEAN_FROM && key.as_bytes()[0].is_multiple_of(CLEANERS) {
            // The write is done; what could not be cleaned now is cleaned later.
            if let Err(error) = Box::pin(self.clean(tag)).await {
                tracing::debug!("the set of a tag was not cleaned: {error}");
            }
        }
    }

    async fn clean(&self, tag: Tag) -> Result<(), Error> {
        let sample = self.0.connection.read(redis::cmd("ZRANDMEMBER").arg(self.tag_name(tag)).arg(SAMPLE)).await?;
        self.live_of(tag, keys_in(sample)?).await.map(drop)
    }
}

/// The header of a value, or nothing.
fn head(name: Name<'_>) -> redis::Cmd {
    let mut command = redis::cmd("GETRANGE");
    command.write_arg_fmt(name);
    command.arg(0).arg(format::HEADER - 1);
    command
}

fn keys_in(members: Value) -> Result<Vec<StoreKey>, Error> {
    let Value::Array(members) = members else { return Err(format::damaged()) };
    let key = |member| match member {
        Value::BulkString(bytes) => bytes.try_into().map(StoreKey::new).map_err(|_| format::damaged()),
        _ => Err(format::damaged()),
    };
    members.into_iter().map(key).collect()
}
