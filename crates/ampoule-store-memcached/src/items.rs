//! Reading and writing of one key, each write conditional on memcached's token.

use ampoule_core::{Entry, Error, ErrorKind, Outcome, Put, StoreKey, Time, Version};

use crate::MemcachedStore;
use crate::format::{self, Header, Item};
use crate::wire::{self, Mode, Said};

/// How often a write is tried again, since another came between its reading and its writing.
const ATTEMPTS: u32 = 64;

impl MemcachedStore {
    pub(crate) fn name(&self, key: StoreKey) -> String {
        format!("{}{key}", self.0.options.prefix)
    }

    /// The value of a key, unless its deadline has passed. Its token is kept for the save that may follow.
    pub(crate) async fn item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        let item = self.any_item(key).await?.filter(|item| item.header.deadline > self.now());
        if let Some(item) = &item {
            self.0.tokens.keep(key, item.header, item.cas);
        }
        Ok(item)
    }

    /// What lies under a key, expired or not.
    async fn any_item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        match self.server_of(key.as_bytes()).ask(wire::get(&self.name(key))).await? {
            Said::Value(bytes, cas) => Item::new(bytes, cas).map(Some),
            _ => Ok(None),
        }
    }

    async fn set(&self, key: StoreKey, bytes: &[u8], deadline: Time, mode: Mode) -> Result<Said, Error> {
        let ttl = format::ttl(deadline, self.now());
        self.server_of(key.as_bytes()).ask(wire::set(&self.name(key), bytes, ttl, mode)).await
    }

    pub(crate) async fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let version = getrandom::u64().map_err(|cause| no_random(cause.to_string()))?;
        let header = Header { version: Version(version), deadline: entry.deadline, tag: entry.tag };
        if entry.deadline <= self.now() {
            return self.end(key, when, header.version).await;
        }
        if let Some(tag) = entry.tag {
            // First, so that the tag never knows too few.
            self.add_to_tag(tag, key, entry.deadline).await?;
        }
        let bytes = header.with(&entry.value);
        let said = match when {
            Put::Always => self.set(key, &bytes, entry.deadline, Mode::Set).await?,
            Put::Create => self.create(key, &header, &bytes).await?,
            Put::Replace(old) => self.replace(key, old, &header, &bytes).await?,
        };
        let Said::Done(cas) = said else { return Ok(Outcome::Conflict) };
        self.0.tokens.keep(key, header, cas);
        Ok(Outcome::Stored(header.version))
    }

    async fn create(&self, key: StoreKey, header: &Header, bytes: &[u8]) -> Result<Said, Error> {
        let mut mode = Mode::Add;
        for _ in 0..ATTEMPTS {
            let said = self.set(key, bytes, header.deadline, mode).await?;
            if let Said::Done(_) = said {
                return Ok(said);
            }
            mode = match self.any_item(key).await? {
                None => Mode::Add,
                // Written by this very call, before its connection broke.
                Some(item) if item.header.version == header.version => return Ok(Said::Done(item.cas)),
                Some(item) if item.header.deadline > self.now() => return Ok(Said::Present),
                Some(expired) => Mode::Cas(expired.cas),
            };
        }
        Err(gave_up())
    }

    /// One command, if the token of that version is known and nobody has touched the key since.
    async fn replace(&self, key: StoreKey, old: Version, header: &Header, bytes: &[u8]) -> Result<Said, Error> {
        let mut token = self.0.tokens.of(key, old, self.now());
        for _ in 0..ATTEMPTS {
            if let Some(cas) = token
                && let said @ Said::Done(_) = self.set(key, bytes, header.deadline, Mode::Cas(cas)).await?
            {
                return Ok(said);
            }
            match self.any_item(key).await? {
                Some(item) if item.header.version == header.version => return Ok(Said::Done(item.cas)),
                Some(item) if item.header.version == old && item.header.deadline > self.now() => token = Some(item.cas),
                _ => return Ok(Said::Changed),
            }
        }
        Err(gave_up())
    }

    /// What a put with a past deadline does: the same condition, and nothing is left.
    async fn end(&self, key: StoreKey, when: Put, version: Version) -> Result<Outcome, Error> {
        let done = match when {
            Put::Create => self.item(key).await?.is_none(),
            Put::Always => self.remove(key).await.map(|_| true)?,
            Put::Replace(old) => self.remove_if(key, |header| header.version == old).await?,
        };
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    pub(crate) async fn remove(&self, key: StoreKey) -> Result<bool, Error> {
        self.remove_if(key, |_| true).await
    }

    async fn remove_if(&self, key: StoreKey, condition: impl Fn(&Header) -> bool) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let item = match self.item(key).await {
                // What is damaged is removed too: that is how an operator gets rid of it.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.server_of(key.as_bytes()).ask(wire::delete(&self.name(key), None)).await?;
                    return Ok(true);
                }
                item => item?,
            };
            let Some(item) = item.filter(|item| condition(&item.header)) else { return Ok(false) };
            match self.server_of(key.as_bytes()).ask(wire::delete(&self.name(key), Some(item.cas))).await? {
                Said::Done(_) => return Ok(true),
                Said::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(gave_up())
    }

    /// Writes the value again with another deadline, and with the same version.
    pub(crate) async fn move_deadline(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        if deadline <= self.now() {
            return self.remove(key).await;
        }
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(key).await? else { return Ok(false) };
            if let Some(tag) = item.header.tag {
                self.add_to_tag(tag, key, deadline).await?;
            }
            let bytes = Header { deadline, ..item.header }.with(&item.value());
            match self.set(key, &bytes, deadline, Mode::Cas(item.cas)).await? {
                Said::Done(cas) => {
                    self.0.tokens.keep(key, Header { deadline, ..item.header }, cas);
                    return Ok(true);
                }
                Said::Absent => return Ok(false),
                _ => {}
            }
        }
        Err(gave_up())
    }
}

pub(crate) fn gave_up() -> Error {
    Error::new(ErrorKind::Unavailable, format!("others wrote an item of memcached {ATTEMPTS} times in between"))
}

fn no_random(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "no random number for a version").because(cause)
}
