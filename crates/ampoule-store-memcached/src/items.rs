//! Reads and writes of one key. Each write is conditional on memcached's token.

use std::time::Duration;

use ampoule_core::{Entry, Error, ErrorKind, PutMode, PutResult, StoreKey, Version};

use crate::MemcachedStore;
use crate::error::no_random;
use crate::format::{self, Header, Item};
use crate::tokens::CachedToken;
use crate::wire::{Condition, Found, Response};

/// How often a write is tried if other writers come between its read and its write.
pub(crate) const MAX_ATTEMPTS: u32 = 256;

/// A value to write to memcached.
struct PendingWrite {
    header: Header,
    bytes: Vec<u8>,
    /// The time to live in seconds.
    ttl: u64,
}

impl MemcachedStore {
    pub(crate) fn name(&self, key: StoreKey) -> String {
        format!("{}{key}", self.0.options.prefix)
    }

    /// Returns the value of a key, unless it has expired. Its token is cached for the save that may follow.
    pub(crate) async fn item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        let item = self.any_item(key).await?.filter(|item| self.is_live(&item.header));
        if let Some(item) = &item {
            self.0.tokens.keep(key, item.header, item.token);
        }
        Ok(item)
    }

    /// Returns the value of a key, expired or not.
    async fn any_item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        self.find(key).await?.map(Item::new).transpose()
    }

    async fn find(&self, key: StoreKey) -> Result<Option<Found>, Error> {
        match self.server_of(key.as_bytes()).get(&self.name(key)).await? {
            Response::Value(found) => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// Returns the cached token of a key, without a command.
    fn cached(&self, key: StoreKey) -> Option<CachedToken> {
        self.0.tokens.of(key).filter(|cached| self.is_live(&cached.header))
    }

    async fn set(&self, key: StoreKey, writing: &PendingWrite, when: Condition) -> Result<Response, Error> {
        let PendingWrite { header, bytes, ttl } = writing;
        let response = self.server_of(key.as_bytes()).set(&self.name(key), bytes, *ttl, when).await?;
        if let Response::Done(token) = response {
            self.0.tokens.keep(key, *header, token);
        }
        Ok(response)
    }

    pub(crate) async fn write(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let version = Version(getrandom::u64().map_err(no_random)?);
        let ttl = format::ttl(entry.lifetime);
        if ttl == 0 {
            return self.end(key, mode, version).await;
        }
        let deadline = self.now() + entry.lifetime;
        let replaced = match mode {
            PutMode::Replace(old) => self.cached(key).filter(|cached| cached.header.version == old),
            _ => None,
        };
        let before = replaced.and_then(|cached| cached.header.listing);
        let write = async |listing| {
            let header = Header { version, deadline, listing };
            let writing = PendingWrite { header, bytes: header.with(&entry.value), ttl };
            match mode {
                PutMode::Always => self.set(key, &writing, Condition::Always).await,
                PutMode::Create => self.create(key, &writing).await,
                PutMode::Replace(old) => self.replace(key, old, replaced, &writing).await,
            }
        };
        match self.with_tag(entry.tag, before, key, entry.lifetime, write).await? {
            Response::Done(_) => Ok(PutResult::Stored(version)),
            _ => Ok(PutResult::Conflict),
        }
    }

    async fn create(&self, key: StoreKey, writing: &PendingWrite) -> Result<Response, Error> {
        let mut when = Condition::Absent;
        for _ in 0..MAX_ATTEMPTS {
            if let done @ Response::Done(_) = self.set(key, writing, when).await? {
                return Ok(done);
            }
            when = match self.any_item(key).await? {
                None => Condition::Absent,
                Some(item) if self.is_live(&item.header) => return Ok(Response::Present),
                Some(expired) => Condition::HasToken(expired.token),
            };
        }
        Err(contention_error())
    }

    /// Takes one command, if the token of that version is cached and the key has not been touched since.
    async fn replace(
        &self,
        key: StoreKey,
        old: Version,
        cached: Option<CachedToken>,
        writing: &PendingWrite,
    ) -> Result<Response, Error> {
        let mut token = cached.map(|cached| cached.token);
        for _ in 0..MAX_ATTEMPTS {
            if let Some(token) = token {
                let response = self.set(key, writing, Condition::HasToken(token)).await?;
                if response != Response::Changed {
                    return Ok(response);
                }
            }
            match self.item(key).await? {
                Some(item) if item.header.version == old => token = Some(item.token),
                _ => return Ok(Response::Changed),
            }
        }
        Err(contention_error())
    }

    /// Does a put without a lifetime: it has the same condition, and removes the key.
    async fn end(&self, key: StoreKey, mode: PutMode, version: Version) -> Result<PutResult, Error> {
        let done = match mode {
            PutMode::Create => self.item(key).await?.is_none(),
            PutMode::Always => self.remove(key, None).await.map(|_| true)?,
            PutMode::Replace(old) => self.remove(key, Some(old)).await?,
        };
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// Removes a key, or one version of it. Takes one command, if its token is cached.
    pub(crate) async fn remove(&self, key: StoreKey, version: Option<Version>) -> Result<bool, Error> {
        let matches = |header: &Header| version.is_none_or(|version| header.version == version);
        let (server, name) = (self.server_of(key.as_bytes()), self.name(key));
        let cached = self.cached(key).filter(|cached| matches(&cached.header));
        if let Some(cached) = cached
            && let Response::Done(_) = server.delete(&name, cached.token).await?
        {
            return Ok(true);
        }
        for _ in 0..MAX_ATTEMPTS {
            let Some(found) = self.find(key).await? else { return Ok(false) };
            let is_live = match Header::decode(&found.bytes) {
                Ok(header) if !matches(&header) => return Ok(false),
                Ok(header) => self.is_live(&header),
                // A damaged item can be removed, though not as a certain version, so that an operator can get rid of
                // it.
                Err(corrupt) if version.is_some() => return Err(corrupt),
                Err(_) => true,
            };
            match server.delete(&name, found.token).await? {
                Response::Done(_) => return Ok(is_live),
                Response::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(contention_error())
    }

    /// Writes the value again with the same version, if its lifetime grows. Neither its deadline nor its time to live
    /// is ever lowered.
    pub(crate) async fn move_deadline(
        &self,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let item = self.item(key).await?.filter(|item| item.header.version == version);
            let Some(item) = item else { return Ok(false) };
            let deadline = self.deadline_of(&item).max(self.now() + lifetime);
            let ttl = item.left.max(format::ttl(lifetime));
            if deadline == item.header.deadline && ttl == item.left {
                return Ok(true);
            }
            let write = async |listing| {
                let header = Header { deadline, listing, ..item.header };
                let writing = PendingWrite { header, bytes: header.with(&item.value()), ttl };
                self.set(key, &writing, Condition::HasToken(item.token)).await
            };
            match self.with_tag(item.header.tag(), item.header.listing, key, lifetime, write).await? {
                Response::Done(_) => return Ok(true),
                Response::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(contention_error())
    }
}

pub(crate) fn contention_error() -> Error {
    Error::new(ErrorKind::Unavailable, format!("other clients wrote an item of memcached first, {MAX_ATTEMPTS} times"))
}
