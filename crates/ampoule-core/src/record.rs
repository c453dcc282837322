//! A session as it is kept: a header and its entries.

mod body;
mod format;

use std::sync::Arc;

use self::body::Body;
use crate::{Error, ErrorKind, Lifetime, StoreKey, Tag, Time};

/// The longest key of a session, and the longest principal, in bytes of UTF-8.
pub const MAX_KEY: usize = 255;

/// What lies in a store under a session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A session.
    Session(Record),
    /// The session was given a new id and lies there now; kept for the few seconds in which requests with the old id
    /// may still be under way (promise P6).
    Moved(StoreKey),
}

/// A session's data. Values stay encoded until somebody asks for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the session was first made. A new id does not change it.
    pub created: Time,
    /// When it was last written; the store's deadline tells of later uses.
    pub accessed: Time,
    /// When it ends.
    pub lifetime: Lifetime,
    /// When its cookie was last sent, so that one with an expiry can be sent again in time.
    pub cookie_sent: Time,
    principal: Option<Arc<str>>,
    body: Body,
}

impl Record {
    /// An empty session made at `now`.
    pub fn new(now: Time, lifetime: Lifetime) -> Record {
        Record { created: now, accessed: now, lifetime, cookie_sent: now, principal: None, body: Body::default() }
    }

    /// The same record, last written at `now`.
    #[must_use]
    pub fn accessed_at(mut self, now: Time) -> Record {
        self.accessed = now;
        self
    }

    /// The encoded value under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.body.get(key)
    }

    /// Puts an encoded value under `key`, in the place of the old one or at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the key is empty or longer than [`MAX_KEY`] bytes.
    pub fn insert(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        *self = self.inserted(key.as_bytes(), value);
        Ok(())
    }

    /// Takes out what is under `key`, and says whether anything was.
    pub fn remove(&mut self, key: &str) -> bool {
        let without = self.body.without(key);
        let was_there = without.is_some();
        self.body = without.unwrap_or_else(|| std::mem::take(&mut self.body));
        was_there
    }

    /// This record with a value under a key that was checked. Of what it is made of, only the entries are copied, and those once.
    pub(crate) fn inserted(&self, key: &[u8], value: &[u8]) -> Record {
        self.with(self.body.with(key, value))
    }

    /// This record without what is under `key`.
    pub(crate) fn removed(&self, key: &str) -> Record {
        self.with(self.body.without(key).unwrap_or_else(|| self.body.clone()))
    }

    fn with(&self, body: Body) -> Record {
        Record { principal: self.principal.clone(), body, ..*self }
    }

    /// Removes all entries; header and principal stay.
    pub fn clear(&mut self) {
        self.body = Body::default();
    }

    /// The keys, in the order in which they were first inserted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(key, _)| key)
    }

    /// The entries, in the order in which their keys were first inserted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.body.entries()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.body.as_bytes().is_empty()
    }

    /// Whose session it is, in the application's own terms: "user:42".
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Says whose session it is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text is empty or longer than [`MAX_KEY`] bytes.
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), Error> {
        principal.map(check_key).transpose()?;
        self.principal = principal.map(Arc::from);
        Ok(())
    }

    /// What the store finds this session by, besides its key: the digest of its principal.
    pub fn tag(&self) -> Option<Tag> {
        self.principal().map(Tag::of)
    }

    /// When the session ends if it is not used again.
    pub fn deadline(&self) -> Time {
        self.lifetime.deadline(self.accessed)
    }

    /// Whether it holds the same data, rules and principal; times of use aside.
    pub fn same_data(&self, other: &Record) -> bool {
        self.body == other.body && self.principal == other.principal && self.lifetime == other.lifetime
    }
}

/// A key of a session is one to 255 bytes of UTF-8, of any characters.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    let message = format!("a session's key or principal has 1 to {MAX_KEY} bytes; this one has {}", key.len());
    Err(Error::new(ErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new(Time::from_millis(5), Lifetime::default())
    }

    #[test]
    fn keys_keep_the_order_of_their_first_insertion() {
        let mut record = record();
        for key in ["b", "a", "c", "a"] {
            record.insert(key, b"1").unwrap();
        }
        record.remove("b");
        assert_eq!(record.keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn keys_are_bounded() {
        let mut record = record();
        assert_eq!(record.insert("", b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(record.insert(&"k".repeat(256), b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert!(record.insert(&"k".repeat(255), b"").is_ok());
        assert!(record.set_principal(Some("")).is_err());
    }
}
