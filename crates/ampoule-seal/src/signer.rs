//! Tokens: credentials with a signature, so that what this server never issued costs no look-up in a store.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::block::{self, BLOCK, State};
use crate::credential::{Credential, same_digest};
use crate::subkey::Subkey;
use crate::text;

/// 16 bytes of id, 16 of secret, and 16 of tag.
const BYTES: usize = 48;
const TEXT: usize = 64;

/// Signs credentials and verifies them. Made by [`KeyRing::signer`](crate::KeyRing::signer).
///
/// The padded keys of HMAC are hashed once, when the signer is made, so that a signature is two blocks of SHA-256, and
/// nothing is taken from the heap. A token is tried with each key in turn, so a forged one costs two blocks for each.
///
/// ```
/// use ampoule_seal::{Credential, KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let signer = KeyRing::new(vec![secret])?.signer("session token");
/// let credential = Credential::random();
/// let token = signer.sign(&credential);
/// let verified = signer.verify(token.as_bytes()).expect("it is ours");
/// assert_eq!(verified.credential.id(), credential.id());
/// assert!(signer.verify(b"made up").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer(Vec<Mac>);

/// HMAC-SHA-256 (RFC 2104) with one key: the states of the inner and of the outer hash after its padded key.
#[derive(Clone)]
struct Mac {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

impl Mac {
    fn new(key: &Subkey) -> Mac {
        let after_key = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(&**key).for_each(|(byte, key)| *byte ^= key);
            Zeroizing::new(block::next(block::START, &block))
        };
        Mac { inner: after_key(0x36), outer: after_key(0x5c) }
    }

    fn hash(&self, message: &[u8; 32]) -> [u8; 32] {
        block::finish::<1, _>(*self.outer, &block::finish::<1, _>(*self.inner, message))
    }

    /// Truncated to 128 bits, half of the hash, as RFC 2104 section 5 allows: what never leaves the server's own check
    /// cannot be searched for offline, and a guess is right once in 2^128.
    fn tag(&self, message: &[u8; 32]) -> [u8; 16] {
        let hash = self.hash(message);
        std::array::from_fn(|index| hash[index])
    }
}

/// A credential and its signature: 64 characters of base64url (RFC 4648 section 5, no padding).
///
/// Any client that holds it has the session, so it is not printed by `{:?}`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; TEXT]);

/// What a token proved.
#[derive(Clone, Copy)]
pub struct Verified {
    /// The credential.
    pub credential: Credential,
    /// The digest of its secret: see [`Credential::digest`]. It comes almost for nothing here, since a processor works on it
    /// and on the signature at the same time.
    pub digest: [u8; 32],
    /// Whether the first key signed it. If not, it should be signed again.
    pub current: bool,
}

impl Signer {
    pub(crate) fn new(keys: &[Subkey]) -> Signer {
        Signer(keys.iter().map(Mac::new).collect())
    }

    /// The token of a credential.
    pub fn sign(&self, credential: &Credential) -> Token {
        let message = &credential.to_bytes();
        let mut bytes = [0; BYTES];
        bytes[..32].copy_from_slice(message);
        bytes[32..].copy_from_slice(&self.0[0].tag(message));
        Token(text::encode_token(&bytes))
    }

    /// The credential of a token that one of the keys signed; `None` for anything else, whatever is wrong with it.
    ///
    /// The decoding is strict, so that a credential has one token, and tags are compared in constant time.
    pub fn verify(&self, token: &[u8]) -> Option<Verified> {
        let bytes: [u8; BYTES] = text::decode_token(token.try_into().ok()?)?;
        let (message, tag) = bytes.split_first_chunk::<32>()?;
        let (&[id, secret], &[tag]) = (message.as_chunks().0, tag.as_chunks().0) else { return None };
        let credential = Credential::new(id, secret);
        // Before the signature, which does not wait for it.
        let digest = credential.digest();
        let signed_by = self.0.iter().position(|mac| are_equal(&mac.tag(message), &tag))?;
        Some(Verified { credential, digest, current: signed_by == 0 })
    }

    /// The keyed digest of any bytes, with the first key: HMAC-SHA-256 of their SHA-256. Without the key a store that holds it
    /// tells nothing of them, however few they may be.
    ///
    /// ```
    /// use ampoule_seal::{KeyRing, Secret};
    ///
    /// # let secret = Secret::new(Secret::generate().as_str())?;
    /// let signer = KeyRing::new(vec![secret])?.signer("password of a login");
    /// let digest = signer.digest(b"$argon2id$...");
    /// assert_eq!(signer.verify_digest(b"$argon2id$...", &digest), Some(true));
    /// assert_eq!(signer.verify_digest(b"another", &digest), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn digest(&self, message: &[u8]) -> [u8; 32] {
        self.0[0].hash(&Sha256::digest(message).into())
    }

    /// Whether one of the keys made this digest of these bytes, and if so, whether it was the first: if not, it should be
    /// made again. Compared in constant time.
    pub fn verify_digest(&self, message: &[u8], digest: &[u8; 32]) -> Option<bool> {
        let message = Sha256::digest(message).into();
        let made_by = self.0.iter().position(|mac| same_digest(&mac.hash(&message), digest))?;
        Some(made_by == 0)
    }
}

/// In constant time.
fn are_equal(tag: &[u8; 16], other: &[u8; 16]) -> bool {
    (u128::from_ne_bytes(*tag) ^ u128::from_ne_bytes(*other)).ct_eq(&0).into()
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
        write!(f, "Verified({:?}, current: {})", self.credential, self.current)
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

    #[test]
    fn keys_are_wiped_when_a_signer_is_dropped() {
        fn is_wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        let Mac { inner, outer } = &Mac::new(&Subkey::new([7; 32]));
        is_wiped(inner);
        is_wiped(outer);
    }

    proptest! {
        #[test]
        fn a_tag_is_hmac_sha_256(key: [u8; 32], message: [u8; 32]) {
            let theirs = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(message).finalize().into_bytes();
            let mac = Mac::new(&Subkey::new(key));
            prop_assert_eq!(mac.hash(&message), <[u8; 32]>::from(theirs));
            prop_assert_eq!(&mac.tag(&message)[..], &theirs[..16]);
        }

        #[test]
        fn a_digest_is_verified_by_each_key_and_by_no_other(keys: [[u8; 32]; 3], message: Vec<u8>, other: Vec<u8>) {
            prop_assume!(keys[0] != keys[1] && keys[1] != keys[2] && message != other);
            let signer = |keys: &[[u8; 32]]| Signer::new(&keys.iter().map(|key| Subkey::new(*key)).collect::<Vec<_>>());
            let digest = signer(&keys[1..2]).digest(&message);
            prop_assert_eq!(signer(&keys[1..]).verify_digest(&message, &digest), Some(true));
            prop_assert_eq!(signer(&keys[..2]).verify_digest(&message, &digest), Some(false));
            prop_assert_eq!(signer(&keys[2..]).verify_digest(&message, &digest), None);
            prop_assert_eq!(signer(&keys[1..]).verify_digest(&other, &digest), None);
        }
    }
}
