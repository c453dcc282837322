//! Writes: the commands that they send, and the results of their responses.

use std::time::Duration;

use ampoule_core::{Entry, Error, PutMode, PutResult, StoreKey, Tag, Time, Version};
use redis::Value;

use crate::connection::{Connection, Response};
use crate::format::corrupt;
use crate::replicas::ReplicaPool;
use crate::scripts::{self, ScriptCall, Touch};
use crate::{RedisStore, error, format};

/// A write that can be sent again unchanged.
pub(crate) enum Write {
    Put(Put),
    Delete(StoreKey),
}

pub(crate) struct Put {
    key: StoreKey,
    mode: PutMode,
    tag: Option<Tag>,
    /// The value with its header; empty to remove the key.
    value: Vec<u8>,
    ttl: Option<u64>,
}

impl RedisStore {
    pub(crate) async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let version = self.next_version()?;
        let ttl = format::ttl(entry.lifetime);
        let put = if ttl == Some(0) {
            Put { key, mode, tag: None, value: Vec::new(), ttl: None }
        } else {
            let value = format::encode(version, self.now().await? + entry.lifetime, &entry);
            Put { key, mode, tag: entry.tag, value, ttl }
        };
        let is_stored = succeeded(&self.perform(&Write::Put(put)).await?)?;
        Ok(if is_stored { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    pub(crate) async fn remove(&self, key: StoreKey) -> Result<bool, Error> {
        Ok(self.perform(&Write::Delete(key)).await?.value == Value::Int(1))
    }

    async fn perform(&self, write: &Write) -> Result<Response, Error> {
        match &self.0.replicas {
            None => self.send(&self.0.connection, write).await,
            Some(pool) => Box::pin(self.write_and_wait(pool, write)).await,
        }
    }

    /// Writes and waits over a connection of the pool. If that breaks before the replicas have confirmed, both commands
    /// are sent again over a new one.
    async fn write_and_wait(&self, pool: &ReplicaPool, write: &Write) -> Result<Response, Error> {
        let pooled = pool.acquire().await?;
        let mut resent = false;
        loop {
            let response = self.send(&pooled.connection, write).await?;
            let response = Response { resent: response.resent || resent, ..response };
            // A write that changed nothing need not wait, unless an earlier attempt may have changed something.
            if response.value == Value::Int(0) && !response.resent {
                pooled.release();
                return Ok(response);
            }
            match pooled.wait(&response).await {
                Ok(has_enough) => {
                    pooled.release();
                    return if has_enough { Ok(response) } else { Err(error::too_few_replicas(pool.replicas)) };
                }
                Err(error) if error::is_stale(&error.cause) && !resent => resent = true,
                Err(error) => return Err(error.into_error_after_write()),
            }
        }
    }

    async fn send(&self, connection: &Connection, write: &Write) -> Result<Response, Error> {
        match write {
            Write::Put(put) => self.send_put(connection, put).await,
            Write::Delete(key) => connection.run_script(&scripts::delete(self.name(*key), self.live_after())).await,
        }
    }

    async fn send_put(&self, connection: &Connection, put: &Put) -> Result<Response, Error> {
        let &Put { key, mode, tag, ref value, ttl } = put;
        let mut resent = false;
        if mode == PutMode::Create && tag.is_none() && !value.is_empty() {
            let response = connection.write(&scripts::create(self.name(key), value, ttl)).await?;
            if response.value != Value::Nil {
                return Ok(Response { value: Value::Int(1), ..response });
            }
            resent = response.resent;
        }
        let put = scripts::put(self.name(key), self.live_after(), mode, value, ttl);
        let response = match tag {
            Some(tag) => Box::pin(self.send_with_tag(connection, tag, key, ttl, put)).await?,
            None => connection.run_script(&put).await?,
        };
        Ok(Response { resent: response.resent || resent, ..response })
    }

    /// Adds the key to its tag before the put, so that the tag never lists too few.
    async fn send_with_tag(
        &self,
        connection: &Connection,
        tag: Tag,
        key: StoreKey,
        ttl: Option<u64>,
        put: ScriptCall,
    ) -> Result<Response, Error> {
        let mut responses = connection.run_scripts(&[self.add_to_tag(tag, key, ttl), put]).await?;
        let put = responses.pop().ok_or_else(corrupt)?;
        if let Some(Response { value: Value::Int(size), .. }) = responses.pop() {
            self.clean_occasionally(tag, key, size).await;
        }
        Ok(put)
    }

    /// Prolongs a value. If it has a tag, the set of the tag is prolonged first.
    pub(crate) async fn move_deadline(
        &self,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        let deadline: Time = self.now().await? + lifetime;
        let touch = Touch { version, deadline, ttl: format::ttl(lifetime) };
        let touch = |is_tag_prolonged| scripts::touch(self.name(key), self.live_after(), touch, is_tag_prolonged);
        let first = self.0.connection.run_script(&touch(false)).await?;
        let Value::BulkString(tag) = first.value else { return succeeded(&first) };
        let tag = Tag::new(tag.try_into().map_err(|_| corrupt())?);
        let calls = [self.add_to_tag(tag, key, format::ttl(lifetime)), touch(true)];
        let second = self.0.connection.run_scripts(&calls).await?.pop().ok_or_else(corrupt)?;
        succeeded(&Response { resent: first.resent || second.resent, ..second })
    }
}

/// Returns whether a conditional write took place. If it had no effect when it was resent, the first attempt may have
/// taken place.
fn succeeded(response: &Response) -> Result<bool, Error> {
    match response.value == Value::Int(1) {
        false if response.resent => Err(error::unknown_outcome()),
        is_written => Ok(is_written),
    }
}
