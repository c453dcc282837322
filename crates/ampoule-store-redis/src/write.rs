//! Writes: what is sent for them, and what its answer means.

use std::time::Duration;

use ampoule_core::{Entry, Error, PutMode, PutResult, StoreKey, Tag, Time, Version};
use redis::Value;

use crate::connection::{Answer, Connection};
use crate::replicas::ReplicaPool;
use crate::scripts::{self, Call, Touch};
use crate::{RedisStore, error, format};

/// A write that can be sent again as it was.
pub(crate) enum Write {
    Put(Put),
    Delete(StoreKey),
}

pub(crate) struct Put {
    key: StoreKey,
    mode: PutMode,
    tag: Option<Tag>,
    /// With its header, or empty to remove what is there.
    value: Vec<u8>,
    ttl: Option<u64>,
}

impl RedisStore {
    pub(crate) async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let version = self.new_version()?;
        let ttl = format::ttl(entry.lifetime);
        let put = if ttl == Some(0) {
            Put { key, mode, tag: None, value: Vec::new(), ttl: None }
        } else {
            let value = format::encode(version, self.now().await? + entry.lifetime, &entry);
            Put { key, mode, tag: entry.tag, value, ttl }
        };
        let is_done = done(&self.perform(&Write::Put(put)).await?)?;
        Ok(if is_done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    pub(crate) async fn remove(&self, key: StoreKey) -> Result<bool, Error> {
        Ok(self.perform(&Write::Delete(key)).await?.value == Value::Int(1))
    }

    async fn perform(&self, write: &Write) -> Result<Answer, Error> {
        match &self.0.replicas {
            None => self.send(&self.0.connection, write).await,
            Some(pool) => Box::pin(self.write_and_wait(pool, write)).await,
        }
    }

    /// Over a connection of its own. Where that breaks before the replicas are heard of, both are sent again over another.
    async fn write_and_wait(&self, pool: &ReplicaPool, write: &Write) -> Result<Answer, Error> {
        let lease = pool.lease().await?;
        let mut resent = false;
        loop {
            let answer = self.send(&lease.connection, write).await?;
            let answer = Answer { resent: answer.resent || resent, ..answer };
            // What changed nothing need not be waited for, unless the first sending may have changed it.
            if answer.value == Value::Int(0) && !answer.resent {
                lease.give_back();
                return Ok(answer);
            }
            match lease.wait(&answer).await {
                Ok(enough) => {
                    lease.give_back();
                    return if enough { Ok(answer) } else { Err(error::too_few(pool.replicas)) };
                }
                Err(failed) if error::is_stale(&failed.cause) && !resent => resent = true,
                Err(failed) => return Err(failed.into_follow_error()),
            }
        }
    }

    async fn send(&self, connection: &Connection, write: &Write) -> Result<Answer, Error> {
        match write {
            Write::Put(put) => self.send_put(connection, put).await,
            Write::Delete(key) => connection.run(&scripts::delete(self.name(*key), self.horizon())).await,
        }
    }

    async fn send_put(&self, connection: &Connection, put: &Put) -> Result<Answer, Error> {
        let &Put { key, mode, tag, ref value, ttl } = put;
        let mut resent = false;
        if mode == PutMode::Create && tag.is_none() && !value.is_empty() {
            let answer = connection.write(&scripts::create(self.name(key), value, ttl)).await?;
            if answer.value != Value::Nil {
                return Ok(Answer { value: Value::Int(1), ..answer });
            }
            resent = answer.resent;
        }
        let put = scripts::put(self.name(key), self.horizon(), mode, value, ttl);
        let answer = match tag {
            Some(tag) => Box::pin(self.send_with_tag(connection, tag, key, ttl, put)).await?,
            None => connection.run(&put).await?,
        };
        Ok(Answer { resent: answer.resent || resent, ..answer })
    }

    /// The tag first, so that it never knows too few.
    async fn send_with_tag(
        &self,
        connection: &Connection,
        tag: Tag,
        key: StoreKey,
        ttl: Option<u64>,
        put: Call,
    ) -> Result<Answer, Error> {
        let mut answers = connection.run_all(&[self.add_to_tag(tag, key, ttl), put]).await?;
        let put = answers.pop().ok_or_else(format::damaged)?;
        if let Some(Answer { value: Value::Int(size), .. }) = answers.pop() {
            self.clean_now_and_then(tag, key, size).await;
        }
        Ok(put)
    }

    /// A value with a tag does not live longer before its tag does.
    pub(crate) async fn move_deadline(
        &self,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        let deadline: Time = self.now().await? + lifetime;
        let touch = Touch { version, deadline, ttl: format::ttl(lifetime) };
        let touch = |tag_lives| scripts::touch(self.name(key), self.horizon(), touch, tag_lives);
        let first = self.0.connection.run(&touch(false)).await?;
        let Value::BulkString(tag) = first.value else { return done(&first) };
        let tag = Tag::new(tag.try_into().map_err(|_| format::damaged())?);
        let calls = [self.add_to_tag(tag, key, format::ttl(lifetime)), touch(true)];
        let second = self.0.connection.run_all(&calls).await?.pop().ok_or_else(format::damaged)?;
        done(&Answer { resent: first.resent || second.resent, ..second })
    }
}

/// Whether a conditional write was done. Refused the second time, it may have been done the first.
fn done(answer: &Answer) -> Result<bool, Error> {
    match answer.value == Value::Int(1) {
        false if answer.resent => Err(error::unknown()),
        done => Ok(done),
    }
}
