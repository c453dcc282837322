//! Ids that prove that we made them.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::block::{self, BLOCK, State};
use crate::digest::store_digest;
use crate::ring::Subkey;
use crate::text;

/// 16 bytes of id and 32 of tag.
const BYTES: usize = 48;
const TEXT: usize = 64;

/// Signs ids and verifies them. Made by [`KeyRing::signer`](crate::KeyRing::signer).
///
/// The padded keys of HMAC are hashed once, when the signer is made, so that a signature is two blocks of SHA-256, and
/// nothing is taken from the heap. A token is tried with each secret in turn, so a forged one costs two blocks for each.
///
/// ```
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let signer = KeyRing::new(vec![secret])?.signer("session id");
/// let id = ampoule_seal::random_id();
/// let token = signer.sign(&id);
/// assert_eq!(signer.verify(token.as_str().as_bytes()).map(|verified| verified.id), Some(id));
/// assert!(signer.verify(b"made up").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer(Vec<Mac>);

/// HMAC-SHA-256 (RFC 2104) with one key: the states of the inner and of the outer hash after its padded key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Mac {
    inner: State,
    outer: State,
}

impl Mac {
    fn new(key: &Subkey) -> Mac {
        let after_key = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(&**key).for_each(|(byte, key)| *byte ^= key);
            block::next(block::START, &block)
        };
        Mac { inner: after_key(0x36), outer: after_key(0x5c) }
    }

    fn tag(&self, id: &[u8; 16]) -> [u8; 32] {
        block::finish::<1, _>(self.outer, &block::finish::<1, _>(self.inner, id))
    }
}

/// A signed id: 64 characters of base64url (RFC 4648 section 5, no padding), which are the id and its tag.
///
/// It is a secret, so it is not printed by `{:?}`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; TEXT]);

/// What a token proved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The id.
    pub id: [u8; 16],
    /// Whether the first secret signed it. If not, it should be signed again.
    pub current: bool,
    /// What a store knows it by: its [`store_digest`](crate::store_digest). It comes almost for nothing here, since a
    /// processor works on it and on the signature at the same time.
    pub digest: [u8; 32],
}

impl Signer {
    pub(crate) fn new(keys: &[Subkey]) -> Signer {
        Signer(keys.iter().map(Mac::new).collect())
    }

    /// The token of an id.
    pub fn sign(&self, id: &[u8; 16]) -> Token {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(id);
        bytes[16..].copy_from_slice(&self.0[0].tag(id));
        Token(text::encode_token(&bytes))
    }

    /// The id of a token that one of the secrets signed; `None` for anything else, whatever is wrong with it.
    ///
    /// The decoding is strict, so that an id has one token, and tags are compared in constant time.
    pub fn verify(&self, token: &[u8]) -> Option<Verified> {
        let bytes: [u8; BYTES] = text::decode_token(token.try_into().ok()?)?;
        let (id, tag) = bytes.split_first_chunk::<16>()?;
        let tag = tag.first_chunk::<32>()?;
        // Before the signature, which does not wait for it.
        let digest = store_digest(id);
        let signed_by = self.0.iter().position(|mac| are_equal(&mac.tag(id), tag))?;
        Some(Verified { id: *id, current: signed_by == 0, digest })
    }
}

/// In constant time, eight bytes at once.
fn are_equal(tag: &[u8; 32], other: &[u8; 32]) -> bool {
    let words =
        |tag: &[u8; 32]| [0, 8, 16, 24].map(|at| u64::from_ne_bytes(std::array::from_fn(|byte| tag[at + byte])));
    let differing = words(tag).into_iter().zip(words(other)).fold(0, |seen, (a, b)| seen | (a ^ b));
    differing.ct_eq(&0).into()
}

impl Token {
    /// The text, as it goes into a cookie.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("base64url is ASCII")
    }

    /// The text, as it goes into a header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({}, current: {})", crate::fingerprint(&self.id), self.current)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac as _};
    use proptest::prelude::*;
    use sha2::Sha256;

    #[test]
    fn keys_are_wiped_when_a_signer_is_dropped() {
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<Mac>();
    }

    proptest! {
        #[test]
        fn a_tag_is_hmac_sha_256(key: [u8; 32], id: [u8; 16]) {
            let theirs = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(id).finalize().into_bytes();
            prop_assert_eq!(Mac::new(&Subkey::new(key)).tag(&id), <[u8; 32]>::from(theirs));
        }
    }
}
