//! A session as it is kept: a header and its entries.

mod entries;
mod format;
mod identity;

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::entries::Entries;
pub use self::identity::{Identity, PreviousSecret};
use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::{SessionId, Tag};
use crate::lifetime::Lifetime;

/// The length of the longest key of a session, and of the longest principal, in bytes of UTF-8.
pub const MAX_KEY: usize = 255;

/// How long a session that holds nothing but the token of a form may lie unused. A client without cookies makes one with
/// each page that has a form.
pub const FORM_LIFETIME: Duration = Duration::from_secs(3_600);

/// What a store holds under a session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A session.
    Session(Arc<Record>),
    /// What an ended session leaves for a few seconds, so that requests that are still under way learn of the end.
    Ended(Tombstone),
}

/// What an ended session leaves: no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The device that it belonged to, which the next login takes over.
    pub device: SessionId,
    /// Whose login took the place of the session; `None` if it ended for another reason.
    pub forked_for: Option<String>,
}

/// A session's data, as `ampoule::inspect` returns it. Values stay encoded until they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the session was first made.
    pub created: Time,
    /// When it was last written; the store's deadline tells of later uses.
    pub accessed: Time,
    /// When it ends.
    pub lifetime: Lifetime,
    /// When its cookie was last sent, so that one with an expiry can be sent again in time.
    pub cookie_sent: Time,
    /// Who may use it, and what it came from.
    #[doc(hidden)]
    pub identity: Identity,
    /// When its user last logged in.
    pub authenticated_at: Option<Time>,
    /// The token of its forms, once there is one.
    pub form_token: Option<[u8; 32]>,
    /// The keyed digest of what must end the session when it changes, such as the hash of its user's password.
    pub auth_hash: Option<[u8; 32]>,
    layer: Text,
    principal: Option<Text>,
    entries: Entries,
}

impl Record {
    /// An empty session made at `now`, of the layer that has this name.
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

    /// The same session without data, form token and login.
    #[doc(hidden)]
    #[must_use]
    pub fn emptied(&self) -> Record {
        Record { authenticated_at: None, form_token: None, auth_hash: None, ..self.with_entries(Entries::default()) }
    }

    /// The encoded value under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key)
    }

    /// Puts an encoded value under `key`, in the place of the old one or at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the key is empty or longer than 255 bytes.
    #[doc(hidden)]
    pub fn insert(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        self.put(key.as_bytes(), value);
        Ok(())
    }

    /// Takes out what is under `key`, and says whether anything was.
    #[doc(hidden)]
    pub fn remove(&mut self, key: &str) -> bool {
        let without = self.entries.without(key);
        let was_there = without.is_some();
        self.entries = without.unwrap_or_else(|| std::mem::take(&mut self.entries));
        was_there
    }

    /// Puts a value under a key that was checked.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.with(key, value);
    }

    /// A copy with a value under a key that was checked. Only one copy of the entries is made.
    pub(crate) fn with(&self, key: &[u8], value: &[u8]) -> Record {
        self.with_entries(self.entries.with(key, value))
    }

    /// A copy with other entries.
    fn with_entries(&self, entries: Entries) -> Record {
        let (identity, layer, principal) = (self.identity.clone(), self.layer.clone(), self.principal.clone());
        Record { identity, layer, principal, entries, ..*self }
    }

    /// Removes all entries; header and principal stay.
    #[doc(hidden)]
    pub fn clear(&mut self) {
        self.entries = Entries::default();
    }

    /// The keys, in the order in which they were first inserted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(key, _)| key)
    }

    /// The entries, in the order in which their keys were first inserted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.entries()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.as_bytes().is_empty()
    }

    /// How many bytes its entries take.
    pub fn data_len(&self) -> usize {
        self.entries.as_bytes().len()
    }

    /// The name of the layer that it belongs to: that of its cookie.
    pub fn layer(&self) -> &str {
        self.layer.as_str()
    }

    /// Whether it belongs to the layer of this name.
    #[doc(hidden)]
    pub fn is_of(&self, layer: &Text) -> bool {
        self.layer == *layer
    }

    /// Whose session it is, in the application's own terms: "user:42".
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_ref().map(Text::as_str)
    }

    /// Says whose session it is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text is empty or longer than 255 bytes.
    #[doc(hidden)]
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), Error> {
        principal.map(check_key).transpose()?;
        self.principal = principal.map(Text::new);
        Ok(())
    }

    /// What the store finds this session by, besides its key: the digest of layer and principal.
    pub fn tag(&self) -> Option<Tag> {
        self.principal().map(|principal| Tag::of_principal(self.layer(), principal))
    }

    /// Whether it holds nothing but the token of a form: no entries, no principal and no idle time of its own.
    #[doc(hidden)]
    pub fn is_unused_form(&self) -> bool {
        self.form_token.is_some() && self.is_empty() && self.principal.is_none() && !self.lifetime.own
    }

    /// Returns [`Record::lifetime`], with an idle timeout of at most an hour for a session that holds nothing but the token
    /// of a form.
    pub fn effective_lifetime(&self) -> Lifetime {
        if !self.is_unused_form() {
            return self.lifetime;
        }
        let idle = self.lifetime.idle.map_or(FORM_LIFETIME, |idle| idle.min(FORM_LIFETIME));
        Lifetime { idle: Some(idle), ..self.lifetime }
    }

    /// When the session ends if it is not used again.
    pub fn deadline(&self) -> Time {
        self.effective_lifetime().deadline(self.accessed)
    }

    /// Whether it holds the same data, rules and principal; times of use and credentials aside.
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

/// Short text. The names of layers and most principals take nothing from the heap.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text(SmallVec<[u8; 23]>);

impl Clone for Text {
    /// All bytes at once, where that of `SmallVec` clones one after the other.
    fn clone(&self) -> Text {
        Text(SmallVec::from_slice(&self.0))
    }
}

impl Text {
    /// A copy of this text.
    pub fn new(text: &str) -> Text {
        Text(SmallVec::from_slice(text.as_bytes()))
    }

    /// A copy of bytes, if they are UTF-8.
    fn checked(bytes: &[u8]) -> Option<Text> {
        // Looking at the bytes once as ASCII is quicker than decoding them.
        (bytes.is_ascii() || str::from_utf8(bytes).is_ok()).then(|| Text(SmallVec::from_slice(bytes)))
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A key of a session is one to 255 bytes of UTF-8, of any characters.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    let message = format!("expected a key or principal of 1 to {MAX_KEY} bytes, found {}", key.len());
    Err(Error::new(ErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_session_with_nothing_but_a_form_token_lives_an_hour_at_most() {
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
    fn keys_are_bounded() {
        let mut record = record();
        assert_eq!(record.insert("", b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(record.insert(&"k".repeat(256), b"").unwrap_err().kind(), ErrorKind::Invalid);
        assert!(record.insert(&"k".repeat(255), b"").is_ok());
        assert!(record.set_principal(Some("")).is_err());
    }
}
