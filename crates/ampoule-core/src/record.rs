//! A session's record: a header and its entries.

mod entries;
mod format;
mod identity;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::entries::Entries;
pub use self::identity::{Identity, PreviousSecret};
use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::{SessionId, Tag};
use crate::lifetime::Lifetime;

/// The maximum length of a session's keys and principals, in bytes of UTF-8.
pub const MAX_KEY: usize = 255;

/// The idle timeout of a session that contains only a form token. A client without cookies creates one with each page
/// that has a form.
pub const FORM_LIFETIME: Duration = Duration::from_secs(3_600);

/// The content of a store's value under a session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A session.
    Session(Arc<Record>),
    /// The remains of an ended session, kept for a few seconds so that concurrent requests can read that it ended.
    Ended(Tombstone),
}

/// The remains of an ended session, without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The device of the session, which the next login takes over.
    pub device: SessionId,
    /// The principal whose login replaced the session; `None` if it ended for another reason.
    pub forked_for: Option<String>,
}

/// A session's data, as `ampoule::inspect` returns it. Values stay encoded until they are read. `{:?}` prints their
/// sizes, and no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// When the session was created.
    pub created: Time,
    /// When the record was last written; later uses show in the store's deadline.
    pub accessed: Time,
    /// When the session ends.
    pub lifetime: Lifetime,
    /// When its cookie was last sent, so that a cookie with an expiry is sent again in time.
    pub cookie_sent: Time,
    /// Its credentials and its origin.
    #[doc(hidden)]
    pub identity: Identity,
    /// When its user last logged in.
    pub authenticated_at: Option<Time>,
    /// The token of its forms, if it has one.
    pub form_token: Option<[u8; 32]>,
    /// The keyed digest of a value whose change ends the session, such as the hash of its user's password.
    pub auth_hash: Option<[u8; 32]>,
    layer: Text,
    principal: Option<Text>,
    entries: Entries,
}

impl Record {
    /// Creates an empty session at `now` in the layer of this name.
    #[doc(hidden)]
    pub fn new(now: Time, lifetime: Lifetime, layer: Text) -> Record {
        Record {
            created: now,
            accessed: now,
            lifetime,
            cookie_sent: now,
            identity: Identity::default(),
            authenticated_at: None,
            form_token: None,
            auth_hash: None,
            layer,
            principal: None,
            entries: Entries::default(),
        }
    }

    /// Returns the same session without its data, form token and login.
    #[doc(hidden)]
    #[must_use]
    pub fn emptied(&self) -> Record {
        Record { authenticated_at: None, form_token: None, auth_hash: None, ..self.with_entries(Entries::default()) }
    }

    /// Returns the encoded value under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key)
    }

    /// Inserts an encoded value under `key`: in place of the old value, or at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the key is empty or longer than 255 bytes.
    #[doc(hidden)]
    pub fn insert(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        self.put(key.as_bytes(), value);
        Ok(())
    }

    /// Removes the value under `key`, and returns whether there was one.
    #[doc(hidden)]
    pub fn remove(&mut self, key: &str) -> bool {
        let without = self.entries.without(key);
        let was_there = without.is_some();
        self.entries = without.unwrap_or_else(|| std::mem::take(&mut self.entries));
        was_there
    }

    /// Inserts a value under a key that was checked.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.with(key, value);
    }

    /// Returns a copy with a value under a key that was checked. The entries are copied once.
    pub(crate) fn with(&self, key: &[u8], value: &[u8]) -> Record {
        self.with_entries(self.entries.with(key, value))
    }

    /// Returns a copy with other entries.
    fn with_entries(&self, entries: Entries) -> Record {
        let (identity, layer, principal) = (self.identity.clone(), self.layer.clone(), self.principal.clone());
        Record { identity, layer, principal, entries, ..*self }
    }

    /// Removes all entries; the header and the principal stay.
    #[doc(hidden)]
    pub fn clear(&mut self) {
        self.entries = Entries::default();
    }

    /// Returns the keys, in the order in which they were first inserted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(key, _)| key)
    }

    /// Returns the entries, in the order in which their keys were first inserted. The values are MessagePack.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.entries()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.as_bytes().is_empty()
    }

    /// Returns the size of the entries in bytes, keys included.
    pub fn data_len(&self) -> usize {
        self.entries.as_bytes().len()
    }

    /// Returns the name of the layer that the session belongs to, which is that of its cookie.
    pub fn layer(&self) -> &str {
        self.layer.as_str()
    }

    /// Returns whether the session belongs to the layer of this name.
    #[doc(hidden)]
    pub fn is_of(&self, layer: &Text) -> bool {
        self.layer == *layer
    }

    /// Returns the principal, in the application's own terms: "user:42".
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_ref().map(Text::as_str)
    }

    /// Sets the principal.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text is empty or longer than 255 bytes.
    #[doc(hidden)]
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), Error> {
        principal.map(check_key).transpose()?;
        self.principal = principal.map(Text::new);
        Ok(())
    }

    /// Returns the tag by which the store finds this session: the digest of layer and principal.
    pub fn tag(&self) -> Option<Tag> {
        self.principal().map(|principal| Tag::of_principal(self.layer(), principal))
    }

    /// Returns whether the session contains only a form token: no entries, no principal and no idle timeout of its own.
    #[doc(hidden)]
    pub fn is_unused_form(&self) -> bool {
        self.form_token.is_some() && self.is_empty() && self.principal.is_none() && !self.lifetime.own
    }

    /// Returns [`Record::lifetime`], with an idle timeout of at most an hour if the session contains only a form token.
    pub fn effective_lifetime(&self) -> Lifetime {
        if !self.is_unused_form() {
            return self.lifetime;
        }
        let idle = self.lifetime.idle.map_or(FORM_LIFETIME, |idle| idle.min(FORM_LIFETIME));
        Lifetime { idle: Some(idle), ..self.lifetime }
    }

    /// Returns when the session ends if it is not used again.
    pub fn deadline(&self) -> Time {
        self.effective_lifetime().deadline(self.accessed)
    }

    /// Returns whether both have the same data, lifetime and principal; times of use and credentials are ignored.
    #[doc(hidden)]
    pub fn same_data(&self, other: &Record) -> bool {
        self.entries == other.entries
            && self.principal == other.principal
            && self.lifetime == other.lifetime
            && self.form_token == other.form_token
            && self.authenticated_at == other.authenticated_at
            && self.auth_hash == other.auth_hash
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("layer", &self.layer)
            .field("principal", &self.principal)
            .field("created", &self.created)
            .field("accessed", &self.accessed)
            .field("lifetime", &self.lifetime)
            .field("authenticated_at", &self.authenticated_at)
            .field("has_form_token", &self.form_token.is_some())
            .field("has_auth_hash", &self.auth_hash.is_some())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// A short text. Most names of layers and principals need no heap allocation.
#[derive(Default, PartialEq, Eq)]
pub struct Text(SmallVec<[u8; 23]>);

impl Clone for Text {
    /// Copies all bytes at once; the `Clone` of `SmallVec` clones one after the other.
    fn clone(&self) -> Text {
        Text(SmallVec::from_slice(&self.0))
    }
}

impl Text {
    /// Copies this text.
    pub fn new(text: &str) -> Text {
        Text(SmallVec::from_slice(text.as_bytes()))
    }

    /// Copies these bytes, if they are UTF-8.
    fn checked(bytes: &[u8]) -> Option<Text> {
        // A check for ASCII is faster than decoding.
        (bytes.is_ascii() || str::from_utf8(bytes).is_ok()).then(|| Text(SmallVec::from_slice(bytes)))
    }

    /// Returns the bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Checks that a key of a session has 1 to 255 bytes of UTF-8; any characters are allowed.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    let message = format!("expected a key or principal of 1 to {MAX_KEY} bytes, found {}", key.len());
    Err(Error::new(ErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::{Entry, Stored, Version};

    fn record() -> Record {
        Record::new(Time::from_millis(5), Lifetime::default(), Text::new("sid"))
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
    fn debug_output_has_sizes_and_no_secret() {
        let mut record = record();
        record.insert("card", b"4711").unwrap();
        record.form_token = Some([0xa7; 32]);
        record.auth_hash = Some([0xa7; 32]);
        let text = format!("{record:?}");
        assert!(text.contains(r#""card": "4 bytes""#) && text.contains("has_form_token: true"), "{text}");
        assert!(!text.contains("167") && !text.contains("4711") && !text.contains("52, 55"), "{text}");
        let stored = Stored { value: Bytes::from_static(b"4711"), version: Version(1), deadline: Time::MAX };
        let entry = Entry { value: stored.value.clone(), lifetime: Duration::MAX, tag: None };
        let text = format!("{stored:?} {entry:?}");
        assert!(text.matches("4 bytes").count() == 2 && !text.contains("4711") && !text.contains("52, 55"), "{text}");
    }

    #[test]
    fn a_session_with_only_a_form_token_lives_an_hour_at_most() {
        let day = Duration::from_secs(86_400);
        let mut record = record();
        record.lifetime.idle = Some(day);
        assert_eq!(record.effective_lifetime(), record.lifetime, "an empty session is the application's affair");
        record.form_token = Some([7; 32]);
        assert_eq!(record.deadline(), record.accessed + FORM_LIFETIME);
        let changes: [fn(&mut Record); 3] = [
            |record| record.insert("cart", b"1").unwrap(),
            |record| record.set_principal(Some("user:1")).unwrap(),
            |record| record.lifetime.own = true,
        ];
        for change in changes {
            let mut changed = record.clone();
            change(&mut changed);
            assert_eq!(changed.deadline(), record.accessed + day);
        }
        record.lifetime.idle = None;
        assert_eq!(record.effective_lifetime().idle, Some(FORM_LIFETIME));
        record.lifetime.idle = Some(Duration::from_secs(60));
        assert_eq!(record.effective_lifetime().idle, Some(Duration::from_secs(60)));
    }

    #[test]
    fn p9_keys_and_principals_are_bounded() {
        let mut record = record();
        assert_eq!(record.insert("", b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(record.insert(&"k".repeat(256), b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert!(record.insert(&"k".repeat(255), b"").is_ok());
        assert!(record.set_principal(Some("")).is_err());
        assert_eq!(record.set_principal(Some(&"u".repeat(256))).unwrap_err().kind(), ErrorKind::Invalid);
        assert!(record.set_principal(Some(&"u".repeat(255))).is_ok());
    }
}
