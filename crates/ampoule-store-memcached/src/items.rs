//! Reading and writing of one key, each write conditional on memcached's token.

use std::time::Duration;

use ampoule_core::{Entry, Error, ErrorKind, PutMode, PutResult, StoreKey, Version};

use crate::MemcachedStore;
use crate::error::no_random;
use crate::format::{self, Header, Item};
use crate::tokens::Known;
use crate::wire::{Found, Response, When};

/// How often a write is tried again, since another came between its reading and its writing.
pub(crate) const ATTEMPTS: u32 = 256;

/// A value on its way to memcached.
struct Writing {
    header: Header,
    bytes: Vec<u8>,
    /// For how many seconds it is to be kept.
    ttl: u64,
}

impl MemcachedStore {
    pub(crate) fn name(&self, key: StoreKey) -> String {
        format!("{}{key}", self.0.options.prefix)
    }

    /// The value of a key, unless it has expired. Its token is kept for the save that may follow.
    pub(crate) async fn item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        let item = self.any_item(key).await?.filter(|item| self.is_live(&item.header));
        if let Some(item) = &item {
            self.0.tokens.keep(key, item.header, item.token);
        }
        Ok(item)
    }

    /// What lies under a key, expired or not.
    async fn any_item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        self.find(key).await?.map(Item::new).transpose()
    }

    async fn find(&self, key: StoreKey) -> Result<Option<Found>, Error> {
        match self.server_of(key.as_bytes()).get(&self.name(key)).await? {
            Response::Value(found) => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// What is known of a key without asking.
    fn known(&self, key: StoreKey) -> Option<Known> {
        self.0.tokens.of(key).filter(|known| self.is_live(&known.header))
    }

    async fn set(&self, key: StoreKey, writing: &Writing, when: When) -> Result<Response, Error> {
        let Writing { header, bytes, ttl } = writing;
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
            PutMode::Replace(old) => self.known(key).filter(|known| known.header.version == old),
            _ => None,
        };
        let before = replaced.and_then(|known| known.header.named);
        let write = async |named| {
            let header = Header { version, deadline, named };
            let writing = Writing { header, bytes: header.with(&entry.value), ttl };
            match mode {
                PutMode::Always => self.set(key, &writing, When::Always).await,
                PutMode::Create => self.create(key, &writing).await,
                PutMode::Replace(old) => self.replace(key, old, replaced, &writing).await,
            }
        };
        match self.with_tag(entry.tag, before, key, entry.lifetime, write).await? {
            Response::Done(_) => Ok(PutResult::Stored(version)),
            _ => Ok(PutResult::Conflict),
        }
    }

    async fn create(&self, key: StoreKey, writing: &Writing) -> Result<Response, Error> {
        let mut when = When::Absent;
        for _ in 0..ATTEMPTS {
            if let done @ Response::Done(_) = self.set(key, writing, when).await? {
                return Ok(done);
            }
            when = match self.any_item(key).await? {
                None => When::Absent,
                Some(item) if self.is_live(&item.header) => return Ok(Response::Present),
                Some(expired) => When::Still(expired.token),
            };
        }
        Err(gave_up())
    }

    /// One command, if the token of that version is known and the key has not been touched since.
    async fn replace(
        &self,
        key: StoreKey,
        old: Version,
        known: Option<Known>,
        writing: &Writing,
    ) -> Result<Response, Error> {
        let mut token = known.map(|known| known.token);
        for _ in 0..ATTEMPTS {
            if let Some(token) = token {
                let response = self.set(key, writing, When::Still(token)).await?;
                if response != Response::Changed {
                    return Ok(response);
                }
            }
            match self.item(key).await? {
                Some(item) if item.header.version == old => token = Some(item.token),
                _ => return Ok(Response::Changed),
            }
        }
        Err(gave_up())
    }

    /// What a put without a lifetime does: the same condition, and nothing is left.
    async fn end(&self, key: StoreKey, mode: PutMode, version: Version) -> Result<PutResult, Error> {
        let done = match mode {
            PutMode::Create => self.item(key).await?.is_none(),
            PutMode::Always => self.remove(key, None).await.map(|_| true)?,
            PutMode::Replace(old) => self.remove(key, Some(old)).await?,
        };
        Ok(if done { PutResult::Stored(version) } else { PutResult::Conflict })
    }

    /// Removes a key, or one version of it. One command, if its token is known.
    pub(crate) async fn remove(&self, key: StoreKey, version: Option<Version>) -> Result<bool, Error> {
        let matches = |header: &Header| version.is_none_or(|version| header.version == version);
        let (server, name) = (self.server_of(key.as_bytes()), self.name(key));
        let known = self.known(key).filter(|known| matches(&known.header));
        if let Some(known) = known
            && let Response::Done(_) = server.delete(&name, known.token).await?
        {
            return Ok(true);
        }
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(key).await? else { return Ok(false) };
            let is_live = match Header::decode(&found.bytes) {
                Ok(header) if !matches(&header) => return Ok(false),
                Ok(header) => self.is_live(&header),
                // What is damaged can be removed, though not as some version: so an operator gets rid of it.
                Err(damaged) if version.is_some() => return Err(damaged),
                Err(_) => true,
            };
            match server.delete(&name, found.token).await? {
                Response::Done(_) => return Ok(is_live),
                Response::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(gave_up())
    }

    /// Writes the value again with the same version, if it is to live longer. Neither its deadline nor the time for which
    /// memcached keeps it is ever lowered.
    pub(crate) async fn move_deadline(
        &self,
        key: StoreKey,
        version: Version,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let item = self.item(key).await?.filter(|item| item.header.version == version);
            let Some(item) = item else { return Ok(false) };
            let deadline = self.deadline_of(&item).max(self.now() + lifetime);
            let ttl = item.left.max(format::ttl(lifetime));
            if deadline == item.header.deadline && ttl == item.left {
                return Ok(true);
            }
            let write = async |named| {
                let header = Header { deadline, named, ..item.header };
                let writing = Writing { header, bytes: header.with(&item.value()), ttl };
                self.set(key, &writing, When::Still(item.token)).await
            };
            match self.with_tag(item.header.tag(), item.header.named, key, lifetime, write).await? {
                Response::Done(_) => return Ok(true),
                Response::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(gave_up())
    }
}

pub(crate) fn gave_up() -> Error {
    Error::new(ErrorKind::Unavailable, format!("others wrote an item of memcached {ATTEMPTS} times in between"))
}
