//! Reading and writing of one key, each write conditional on memcached's token.

use ampoule_core::{Entry, Error, ErrorKind, Outcome, Put, StoreKey, Time, Version};

use crate::format::{self, Header, Item};
use crate::tokens::Known;
use crate::wire::{Said, Token, When};
use crate::{MemcachedStore, no_random};

/// How often a write is tried again, since another came between its reading and its writing.
pub(crate) const ATTEMPTS: u32 = 256;

impl MemcachedStore {
    pub(crate) fn name(&self, key: StoreKey) -> String {
        format!("{}{key}", self.0.options.prefix)
    }

    /// The value of a key, unless its deadline has passed. Its token is kept for the save that may follow.
    pub(crate) async fn item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        let item = self.any_item(key).await?.filter(|item| item.header.deadline > self.now());
        if let Some(item) = &item {
            self.0.tokens.keep(key, item.header, item.token);
        }
        Ok(item)
    }

    /// What lies under a key, expired or not.
    async fn any_item(&self, key: StoreKey) -> Result<Option<Item>, Error> {
        self.bytes(key).await?.map(|(bytes, token)| Item::new(bytes, token)).transpose()
    }

    async fn bytes(&self, key: StoreKey) -> Result<Option<(Vec<u8>, Token)>, Error> {
        match self.server_of(key.as_bytes()).get(&self.name(key)).await? {
            Said::Value(bytes, token) => Ok(Some((bytes, token))),
            _ => Ok(None),
        }
    }

    async fn set(&self, key: StoreKey, header: &Header, bytes: &[u8], when: When) -> Result<Said, Error> {
        let ttl = format::ttl(header.deadline, self.now());
        let said = self.server_of(key.as_bytes()).set(&self.name(key), bytes, ttl, when).await?;
        if let Said::Done(token) = said {
            self.0.tokens.keep(key, *header, token);
        }
        Ok(said)
    }

    pub(crate) async fn write(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let version = Version(getrandom::u64().map_err(no_random)?);
        let deadline = entry.deadline;
        if deadline <= self.now() {
            return self.end(key, when, version).await;
        }
        let replaced = match when {
            Put::Replace(old) => self.0.tokens.of(key, self.now()).filter(|known| known.header.version == old),
            _ => None,
        };
        let before = replaced.and_then(|known| known.header.named);
        let write = async |named| {
            let header = Header { version, deadline, named };
            let bytes = header.with(&entry.value);
            match when {
                Put::Always => self.set(key, &header, &bytes, When::Always).await,
                Put::Create => self.create(key, &header, &bytes).await,
                Put::Replace(old) => self.replace(key, old, replaced, &header, &bytes).await,
            }
        };
        match self.with_tag(entry.tag, before, key, deadline, write).await? {
            Said::Done(_) => Ok(Outcome::Stored(version)),
            _ => Ok(Outcome::Conflict),
        }
    }

    async fn create(&self, key: StoreKey, header: &Header, bytes: &[u8]) -> Result<Said, Error> {
        let mut when = When::Absent;
        for _ in 0..ATTEMPTS {
            if let said @ Said::Done(_) = self.set(key, header, bytes, when).await? {
                return Ok(said);
            }
            when = match self.any_item(key).await? {
                None => When::Absent,
                Some(item) if item.header.deadline > self.now() => return Ok(Said::Present),
                Some(expired) => When::Still(expired.token),
            };
        }
        Err(gave_up())
    }

    /// One command, if the token of that version is known and nobody has touched the key since.
    async fn replace(
        &self,
        key: StoreKey,
        old: Version,
        known: Option<Known>,
        header: &Header,
        bytes: &[u8],
    ) -> Result<Said, Error> {
        let mut token = known.map(|known| known.token);
        for _ in 0..ATTEMPTS {
            if let Some(token) = token {
                let said = self.set(key, header, bytes, When::Still(token)).await?;
                if said != Said::Changed {
                    return Ok(said);
                }
            }
            match self.item(key).await? {
                Some(item) if item.header.version == old => token = Some(item.token),
                _ => return Ok(Said::Changed),
            }
        }
        Err(gave_up())
    }

    /// What a put with a past deadline does: the same condition, and nothing is left.
    async fn end(&self, key: StoreKey, when: Put, version: Version) -> Result<Outcome, Error> {
        let done = match when {
            Put::Create => self.item(key).await?.is_none(),
            Put::Always => self.remove(key, None).await.map(|_| true)?,
            Put::Replace(old) => self.remove(key, Some(old)).await?,
        };
        Ok(if done { Outcome::Stored(version) } else { Outcome::Conflict })
    }

    /// Removes a key, or one version of it. One command, if its token is known.
    pub(crate) async fn remove(&self, key: StoreKey, version: Option<Version>) -> Result<bool, Error> {
        let matches = |header: &Header| version.is_none_or(|version| header.version == version);
        let (server, name) = (self.server_of(key.as_bytes()), self.name(key));
        let known = self.0.tokens.of(key, self.now()).filter(|known| matches(&known.header));
        if let Some(known) = known
            && let Said::Done(_) = server.delete(&name, known.token).await?
        {
            return Ok(true);
        }
        for _ in 0..ATTEMPTS {
            let Some((bytes, token)) = self.bytes(key).await? else { return Ok(false) };
            match Header::decode(&bytes) {
                Ok(header) if header.deadline <= self.now() || !matches(&header) => return Ok(false),
                // What is damaged can be removed, though not as some version: so an operator gets rid of it.
                Err(damaged) if version.is_some() => return Err(damaged),
                _ => {}
            }
            match server.delete(&name, token).await? {
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
            return self.remove(key, None).await;
        }
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(key).await? else { return Ok(false) };
            let write = async |named| {
                let header = Header { deadline, named, ..item.header };
                self.set(key, &header, &header.with(&item.value()), When::Still(item.token)).await
            };
            match self.with_tag(item.header.tag(), item.header.named, key, deadline, write).await? {
                Said::Done(_) => return Ok(true),
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
