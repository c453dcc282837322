//! The names of a session, of a value in a store, and of a value in a session.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

/// The key of a value in a store: 32 opaque bytes, never text from a client.
///
/// The key of a session's record is derived from its [`SessionId`], those of a cache are digests. It prints as 43
/// characters of the URL-safe base64 alphabet (RFC 4648 section 5, no padding), so it is safe as a file name, a column
/// and a memcached key.
///
/// ```
/// use ampoule_core::StoreKey;
///
/// let key = StoreKey::new([7; 32]);
/// assert_eq!(key.to_string().len(), 43);
/// assert_eq!(StoreKey::parse(&key.to_string()), Some(key));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// Creates the key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> StoreKey {
        StoreKey(bytes)
    }

    /// Creates the key of a text: its SHA-256. For keys that are not session ids, such as a cache's.
    pub fn digest(text: &[u8]) -> StoreKey {
        StoreKey(Sha256::digest(text).into())
    }

    /// Returns the bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses the output of [`Display`](fmt::Display); `None` for any other text.
    pub fn parse(text: &str) -> Option<StoreKey> {
        base64url::decode(text.as_bytes()).map(StoreKey)
    }

    /// Returns the session whose record this key names; `None` if it is not the key of a session.
    pub fn session_id(&self) -> Option<SessionId> {
        let (id, rest) = self.0.split_first_chunk()?;
        (rest == SESSION_SUFFIX).then_some(SessionId(*id))
    }
}

/// The bytes of a session's key after the session's id.
const SESSION_SUFFIX: &[u8; 16] = b"ampoule session.";

/// The name of a session for its whole life: 128 random bits, made once and never changed.
///
/// It is not a secret: it may be shown, logged, and used in a URL. A client authenticates with its token instead. It
/// prints as 22 characters of the URL-safe base64 alphabet.
///
/// ```
/// use ampoule_core::{SessionId, StoreKey};
///
/// let id = SessionId::new([7; 16]);
/// assert_eq!(id.to_string(), "BwcHBwcHBwcHBwcHBwcHBw");
/// assert_eq!(SessionId::parse("BwcHBwcHBwcHBwcHBwcHBw"), Some(id));
/// assert_eq!("BwcHBwcHBwcHBwcHBwcHBw".parse::<SessionId>().unwrap(), id);
/// assert_eq!(StoreKey::from(id).session_id(), Some(id));
/// ```
///
/// It is text for `serde`, so a handler can take it from its path: `Path(id): Path<SessionId>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Creates the id of these bytes.
    pub const fn new(bytes: [u8; 16]) -> SessionId {
        SessionId(bytes)
    }

    /// Returns the bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses the output of [`Display`](fmt::Display); `None` for any other text.
    pub fn parse(text: &str) -> Option<SessionId> {
        base64url::decode(text.as_bytes()).map(SessionId)
    }
}

/// As [`parse`](SessionId::parse), with an error of the kind [`ErrorKind::Invalid`].
impl FromStr for SessionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<SessionId, Error> {
        // The text is not shown: it may be a token.
        let message = "expected a session's id: 22 characters, as it is displayed";
        SessionId::parse(text).ok_or_else(|| Error::new(ErrorKind::Invalid, message))
    }
}

/// As text, so that an id can be a part of a path or of JSON.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SessionId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl From<SessionId> for StoreKey {
    fn from(SessionId(id): SessionId) -> StoreKey {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&id);
        bytes[16..].copy_from_slice(SESSION_SUFFIX);
        StoreKey(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: [u8; 22] = base64url::encode(&self.0);
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: [u8; 43] = base64url::encode(&self.0);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({self})")
    }
}

/// A name that values share, to find them together: the sessions of one user, the entries of one cache namespace.
///
/// It is a digest, so that no text of an application reaches a store as a name.
///
/// ```
/// use ampoule_core::Tag;
///
/// assert_eq!(Tag::of("products"), Tag::of("products"));
/// assert_ne!(Tag::of_principal("session", "user:42"), Tag::of_principal("admin", "user:42"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(StoreKey);

impl Tag {
    /// Creates the tag of a namespace.
    pub fn of(text: &str) -> Tag {
        Tag(StoreKey::digest(text.as_bytes()))
    }

    /// Creates the tag for the sessions of a principal in the layer that has this cookie name. Layers that share a
    /// store have different tags.
    pub fn of_principal(layer: &str, principal: &str) -> Tag {
        // The name of a cookie contains no NUL, so no two pairs make the same text.
        Tag(StoreKey(Sha256::new().chain_update(layer).chain_update([0]).chain_update(principal).finalize().into()))
    }

    /// Creates the tag of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Tag {
        Tag(StoreKey::new(bytes))
    }

    /// Returns the bytes of the tag.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a value in a session together with its type, so that the value cannot be read as another type.
///
/// ```
/// use ampoule_core::Key;
///
/// const CART: Key<Vec<u32>> = Key::new("cart");
/// assert_eq!(CART.name(), "cart");
/// ```
///
/// Every method of a session that accepts a string accepts a typed key as well:
///
/// ```compile_fail
/// use ampoule_core::{Key, KeyOf};
///
/// fn get<T>(_: impl KeyOf<T>) -> Option<T> { None }
/// const CART: Key<Vec<u32>> = Key::new("cart");
/// let wrong: Option<String> = get(CART);
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Creates the key with this name.
    pub const fn new(name: &'static str) -> Key<T> {
        Key { name, value: PhantomData }
    }

    /// Returns the name under which the value is stored.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Key<T> {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}: {})", self.name, std::any::type_name::<T>())
    }
}

/// A string or a [`Key`] that names a value in a session.
pub trait AsKey {
    /// Returns the name under which the value is stored.
    fn as_key(&self) -> &str;
}

/// A key by which a value of type `T` is read: a string, for any type, or a [`Key<T>`], for that type alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the key of a value of type `{T}`",
    note = "a key is a `&str`, a `&String`, or a `Key<{T}>`"
)]
pub trait KeyOf<T>: AsKey {}

/// A key under which a value of type `V` is written: a string, for any type, or a [`Key<T>`], for a `T`, a `&T` and,
/// with a `Key<String>`, a `&str`.
#[diagnostic::on_unimplemented(
    message = "no value of type `{V}` may be put under `{Self}`",
    note = "a key is a `&str`, a `&String`, or a `Key<T>`, which takes a `T` or a `&T`"
)]
pub trait KeyFor<V>: AsKey {}

impl AsKey for &str {
    fn as_key(&self) -> &str {
        self
    }
}

impl AsKey for &String {
    fn as_key(&self) -> &str {
        self
    }
}

impl<T> AsKey for Key<T> {
    fn as_key(&self) -> &str {
        self.name
    }
}

impl<T> KeyOf<T> for &str {}
impl<T> KeyOf<T> for &String {}
impl<T> KeyOf<T> for Key<T> {}

impl<V> KeyFor<V> for &str {}
impl<V> KeyFor<V> for &String {}
impl<T> KeyFor<T> for Key<T> {}
impl<T> KeyFor<&T> for Key<T> {}
impl KeyFor<&str> for Key<String> {}

/// Base64url without padding; strict, so that a key has one text.
mod base64url {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /// Encodes bytes as `TEXT` characters.
    pub(super) fn encode<const TEXT: usize>(bytes: &[u8]) -> [u8; TEXT] {
        let mut text = [0; TEXT];
        for (index, place) in text.iter_mut().enumerate() {
            let bit = index * 6;
            let pair = u16::from(bytes[bit / 8]) << 8 | u16::from(*bytes.get(bit / 8 + 1).unwrap_or(&0));
            *place = ALPHABET[usize::from(pair >> (10 - bit % 8) & 0x3f)];
        }
        text
    }

    /// Decodes a text; `None` if it has another length, another character, or trailing bits that are not zero.
    pub(super) fn decode<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
        if text.len() != (BYTES * 4).div_ceil(3) {
            return None;
        }
        let mut bytes = [0; BYTES];
        let mut rest = 0;
        for (index, character) in text.iter().enumerate() {
            let sextet = ALPHABET.iter().position(|letter| letter == character)?;
            let [first, second] = (u16::try_from(sextet).ok()? << (10 - index * 6 % 8)).to_be_bytes();
            let at = index * 6 / 8;
            bytes[at] |= first;
            *bytes.get_mut(at + 1).unwrap_or(&mut rest) |= second;
        }
        (rest == 0).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, StrDeserializer};

    /// A text that is no id may be a token, so the error does not show it.
    #[test]
    fn a_session_id_is_text_for_serde() {
        let read = |text: &str| {
            let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
            SessionId::deserialize(text).map_err(|error| error.to_string())
        };
        let id = SessionId::new([7; 16]);
        assert_eq!(read(&id.to_string()), Ok(id));
        let error = read("not-an-id").unwrap_err();
        assert_eq!(error, "expected a session's id: 22 characters, as it is displayed");
    }

    proptest! {
        #[test]
        fn a_key_has_one_text(bytes: [u8; 32], other in "[A-Za-z0-9_-]{43}") {
            let key = StoreKey::new(bytes);
            prop_assert_eq!(StoreKey::parse(&key.to_string()), Some(key));
            if let Some(key) = StoreKey::parse(&other) {
                prop_assert_eq!(key.to_string(), other);
            }
            prop_assert_eq!(key.session_id(), None);
        }

        #[test]
        fn an_id_has_one_text_and_one_key(bytes: [u8; 16], other in "[A-Za-z0-9_-]{22}") {
            let id = SessionId::new(bytes);
            prop_assert_eq!(SessionId::parse(&id.to_string()), Some(id));
            prop_assert_eq!(StoreKey::from(id).session_id(), Some(id));
            if let Some(id) = SessionId::parse(&other) {
                prop_assert_eq!(id.to_string(), other);
            }
        }
    }

    #[test]
    fn text_is_the_standard_alphabet() {
        assert_eq!(StoreKey::new([0xff; 32]).to_string(), "__________________________________________8");
        assert_eq!(StoreKey::new([0; 32]).to_string(), "A".repeat(43));
        assert_eq!(StoreKey::parse("short"), None);
        assert_eq!(StoreKey::parse(&"/".repeat(43)), None);
    }

    #[test]
    fn layers_have_different_tags() {
        assert_ne!(Tag::of_principal("shop", "ada"), Tag::of_principal("admin", "ada"));
        assert_ne!(Tag::of_principal("a", "ba"), Tag::of_principal("ab", "a"));
    }
}
