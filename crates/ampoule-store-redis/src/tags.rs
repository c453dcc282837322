//! The keys of a tag: a set that may list too many, since it is written before the value, and never too few.

use std::time::Duration;

use ampoule_core::{Error, StoreKey, Tag};
use redis::{RedisWrite, Value};

use crate::format::corrupt;
use crate::scripts::{self, ScriptCall};
use crate::{KeyName, RedisStore, format};

/// How long a key stays in a set without a value, since its writer adds it before it writes the value.
const GRACE: Duration = Duration::from_secs(60);

/// The size from which a set is cleaned by writers.
const CLEANING_THRESHOLD: i64 = 64;

/// One write in this many cleans the set, by a byte of its random key.
const WRITES_PER_CLEANING: u8 = 16;

/// How many random keys a cleaning examines. So a write costs the same at any size of the set. In the long run at most
/// a quarter of the keys has no value, since they are then removed as fast as keys are added.
const SAMPLE_SIZE: usize = 64;

/// How many keys are examined, or removed, in one round trip.
const MAX_BATCH: usize = 1_000;

impl RedisStore {
    fn set_name(&self, tag: Tag) -> String {
        format!("{}tag:{tag}", self.0.options.prefix)
    }

    /// Returns the call that adds a key to the set of its tag, for as long as its value lives and a little longer.
    pub(crate) fn add_to_tag(&self, tag: Tag, key: StoreKey, ttl: Option<u64>) -> ScriptCall {
        let ttl = ttl.map(|ttl| ttl + GRACE.as_millis() as u64);
        scripts::add_to_tag(&self.set_name(tag), self.test_time(), key.as_bytes(), ttl)
    }

    /// Returns the keys whose values have the tag, and removes the others from its set.
    pub(crate) async fn keys_of(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let members = self.0.connection.read(redis::cmd("ZRANGE").arg(self.set_name(tag)).arg(0).arg(-1)).await?;
        self.live_keys(tag, parse_keys(members)?).await
    }

    async fn live_keys(&self, tag: Tag, keys: Vec<StoreKey>) -> Result<Vec<StoreKey>, Error> {
        let live_after = self.live_after();
        let (mut live, mut stale) = (Vec::new(), Vec::new());
        for keys in keys.chunks(MAX_BATCH) {
            let commands: Vec<_> = keys.iter().map(|key| get_header(self.name(*key))).collect();
            let headers = self.0.connection.read_all(&commands).await?;
            for (key, header) in keys.iter().zip(headers) {
                let Value::BulkString(bytes) = header else { continue };
                let header = if bytes.is_empty() { None } else { Some(format::decode_header(&bytes)?) };
                match header.filter(|header| header.deadline > live_after) {
                    Some(header) if header.tag == Some(tag) => live.push(*key),
                    _ => stale.push(*key),
                }
            }
        }
        self.remove_from_tag(tag, &stale).await?;
        Ok(live)
    }

    /// Removes keys from the set, except those that were added lately: their values may not be written yet.
    async fn remove_from_tag(&self, tag: Tag, stale: &[StoreKey]) -> Result<(), Error> {
        for stale in stale.chunks(MAX_BATCH) {
            let members: Vec<&[u8]> = stale.iter().map(|key| &key.as_bytes()[..]).collect();
            let call = scripts::remove_from_tag(&self.set_name(tag), self.test_time(), GRACE, &members);
            self.0.connection.run_script(&call).await?;
        }
        Ok(())
    }

    /// Cleans the set at some writes, which bounds the set of a user who often logs in and is never listed.
    pub(crate) async fn clean_occasionally(&self, tag: Tag, key: StoreKey, size: i64) {
        if size >= CLEANING_THRESHOLD && key.as_bytes()[0].is_multiple_of(WRITES_PER_CLEANING) {
            // The write itself has succeeded; a later write cleans the set.
            if let Err(error) = Box::pin(self.clean(tag)).await {
                tracing::debug!("the set of a tag was not cleaned: {error}");
            }
        }
    }

    async fn clean(&self, tag: Tag) -> Result<(), Error> {
        let sample = self.0.connection.read(redis::cmd("ZRANDMEMBER").arg(self.set_name(tag)).arg(SAMPLE_SIZE)).await?;
        self.live_keys(tag, parse_keys(sample)?).await.map(drop)
    }
}

/// Returns the command that reads the header of a value, or an empty string if it is absent.
fn get_header(name: KeyName<'_>) -> redis::Cmd {
    let mut command = redis::cmd("GETRANGE");
    command.write_arg_fmt(name);
    command.arg(0).arg(format::MAX_HEADER_LEN - 1);
    command
}

fn parse_keys(members: Value) -> Result<Vec<StoreKey>, Error> {
    let Value::Array(members) = members else { return Err(corrupt()) };
    let key = |member| match member {
        Value::BulkString(bytes) => bytes.try_into().map(StoreKey::new).map_err(|_| corrupt()),
        _ => Err(corrupt()),
    };
    members.into_iter().map(key).collect()
}
