//! How a store knows a record, and how a program knows a value in it.

use std::fmt;
use std::marker::PhantomData;

use sha2::{Digest, Sha256};

/// What a store knows a record by: 32 opaque bytes, never text from a client.
///
/// It is a digest of the session's id, so whoever reads the store learns no id (promise P8). Shown as 43 characters of
/// the URL-safe base64 alphabet (RFC 4648 section 5, no padding), it is safe as a file name, a column and a memcached
/// key.
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
    /// The key made of these bytes.
    pub const fn new(bytes: [u8; 32]) -> StoreKey {
        StoreKey(bytes)
    }

    /// The key for a piece of text: its SHA-256. For keys that are not ids, such as a cache's.
    pub fn digest(text: &[u8]) -> StoreKey {
        StoreKey(Sha256::digest(text).into())
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads what [`Display`](fmt::Display) wrote; `None` for any other text.
    pub fn parse(text: &str) -> Option<StoreKey> {
        base64url::decode(text.as_bytes()).map(StoreKey)
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base64url::encode(&self.0);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({self})")
    }
}

/// What records are found by together: the sessions of one user, the entries of one cache namespace.
///
/// A digest too, so that no text of an application reaches a store as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(StoreKey);

impl Tag {
    /// The tag for a principal or a namespace.
    pub fn of(text: &str) -> Tag {
        Tag(StoreKey::digest(text.as_bytes()))
    }

    /// The tag made of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Tag {
        Tag(StoreKey::new(bytes))
    }

    /// The bytes of the tag.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a value in a session together with its type, so that it cannot be read as another.
///
/// ```
/// use ampoule_core::Key;
///
/// const CART: Key<Vec<u32>> = Key::new("cart");
/// assert_eq!(CART.name(), "cart");
/// ```
///
/// Every method of a session that takes a string takes a typed key as well:
///
/// ```compile_fail
/// use ampoule_core::{AsKey, Key};
///
/// fn get<T>(_: impl AsKey<T>) -> Option<T> { None }
/// const CART: Key<Vec<u32>> = Key::new("cart");
/// let wrong: Option<String> = get(CART);
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key of that name.
    pub const fn new(name: &'static str) -> Key<T> {
        Key { name, value: PhantomData }
    }

    /// The name under which the value is stored.
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

/// What names a value of type `T` in a session: a string, for any type, or a [`Key<T>`], for that type alone.
pub trait AsKey<T> {
    /// The name under which the value is stored.
    fn as_key(&self) -> &str;
}

impl<T> AsKey<T> for &str {
    fn as_key(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for &String {
    fn as_key(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for Key<T> {
    fn as_key(&self) -> &str {
        self.name
    }
}

/// Base64url of exactly 32 bytes; strict, so that a key has one text.
mod base64url {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    pub(super) fn encode(bytes: &[u8; 32]) -> [u8; 43] {
        let mut text = [0; 43];
        for (index, place) in text.iter_mut().enumerate() {
            let bit = index * 6;
            let pair = u16::from(bytes[bit / 8]) << 8 | u16::from(*bytes.get(bit / 8 + 1).unwrap_or(&0));
            *place = ALPHABET[usize::from(pair >> (10 - bit % 8) & 0x3f)];
        }
        text
    }

    pub(super) fn decode(text: &[u8]) -> Option<[u8; 32]> {
        let text: &[u8; 43] = text.try_into().ok()?;
        let mut bytes = [0_u8; 33];
        for (index, character) in text.iter().enumerate() {
            let sextet = ALPHABET.iter().position(|letter| letter == character)?;
            let pair = u16::try_from(sextet).ok()? << (10 - index * 6 % 8);
            bytes[index * 6 / 8] |= (pair >> 8) as u8;
            bytes[index * 6 / 8 + 1] |= (pair & 0xff) as u8;
        }
        (bytes[32] == 0).then(|| bytes[..32].try_into().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_has_one_text(bytes: [u8; 32], other in "[A-Za-z0-9_-]{43}") {
            let key = StoreKey::new(bytes);
            prop_assert_eq!(StoreKey::parse(&key.to_string()), Some(key));
            if let Some(key) = StoreKey::parse(&other) {
                prop_assert_eq!(key.to_string(), other);
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
}
