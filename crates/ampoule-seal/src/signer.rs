//! Tokens: signed credentials. A token that this server did not issue is rejected without a look-up in the store.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::block::{self, BLOCK_LEN, State};
use crate::credential::{Credential, same_digest};
use crate::subkey::Subkey;
use crate::text;

/// 16 bytes of id, 16 of secret, and 16 of tag.
const TOKEN_LEN: usize = 48;
const TOKEN_TEXT_LEN: usize = 64;

/// Signs credentials and verifies tokens. [`KeyRing::signer`](crate::KeyRing::signer) returns one.
///
/// The padded keys of HMAC are hashed once, when the signer is created, so a signature takes two blocks of SHA-256 and
/// does not allocate. A token is verified with each key in turn, so a forged one takes two blocks for each key.
///
/// ```
/// use ampoule_seal::{Credential, KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let signer = KeyRing::new(vec![secret])?.signer("session token");
/// let credential = Credential::random();
/// let token = signer.sign(&credential);
/// let verified = signer.verify(token.as_bytes()).expect("the token is valid");
/// assert_eq!(verified.credential.id(), credential.id());
/// assert!(signer.verify(b"forged").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer(Vec<Mac>);

/// HMAC-SHA-256 (RFC 2104) with one key: the states of the inner and the outer hash after the padded key.
#[derive(Clone)]
struct Mac {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

impl Mac {
    fn new(key: &Subkey) -> Mac {
        let after_key = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_LEN]);
            block.iter_mut().zip(&**key).for_each(|(byte, key)| *byte ^= key);
            Zeroizing::new(block::compress(block::INITIAL_STATE, &block))
        };
        Mac { inner: after_key(0x36), outer: after_key(0x5c) }
    }

    fn hash(&self, message: &[u8; 32]) -> [u8; 32] {
        block::finish::<1, _>(*self.outer, &block::finish::<1, _>(*self.inner, message))
    }

    /// Returns the hash truncated to 128 bits, its half, as RFC 2104 section 5 allows. A guess can be checked only by
    /// sending it to the server, and is right with a probability of 2^-128.
    fn tag(&self, message: &[u8; 32]) -> [u8; 16] {
        let hash = self.hash(message);
        std::array::from_fn(|index| hash[index])
    }
}

/// A credential and its signature: 64 characters of base64url (RFC 4648 section 5, without padding).
///
/// A token gives access to its session: `{:?}` does not print it, and two tokens are compared in constant time.
#[derive(Clone, Copy)]
pub struct Token([u8; TOKEN_TEXT_LEN]);

/// The content of a token whose signature was verified.
#[derive(Clone, Copy)]
pub struct Verified {
    /// The credential.
    pub credential: Credential,
    /// The [digest](Credential::digest) of its secret. It takes almost no time here, since a processor computes it and
    /// the signature in parallel.
    pub digest: [u8; 32],
    /// Whether the ring's first secret signed it. If not, it should be signed again.
    pub current: bool,
}

impl Signer {
    pub(crate) fn new(keys: &[Subkey]) -> Signer {
        Signer(keys.iter().map(Mac::new).collect())
    }

    /// Signs a credential, and returns its token.
    pub fn sign(&self, credential: &Credential) -> Token {
        let message = &credential.to_bytes();
        let mut bytes = [0; TOKEN_LEN];
        bytes[..32].copy_from_slice(message);
        bytes[32..].copy_from_slice(&self.0[0].tag(message));
        Token(text::encode_token(&bytes))
    }

    /// Verifies a token that one of the ring's secrets signed, and returns its credential. Returns `None` for all other
    /// bytes.
    ///
    /// The decoding is strict: each signed credential has exactly one text. Tags are compared in constant time.
    pub fn verify(&self, token: &[u8]) -> Option<Verified> {
        let bytes: [u8; TOKEN_LEN] = text::decode_token(token.try_into().ok()?)?;
        let (message, tag) = bytes.split_first_chunk::<32>()?;
        let (&[id, secret], &[tag]) = (message.as_chunks().0, tag.as_chunks().0) else { return None };
        let credential = Credential::new(id, secret);
        // Computed before the signature, so that the processor can compute both in parallel.
        let digest = credential.digest();
        let signed_by = self.0.iter().position(|mac| tags_are_equal(&mac.tag(message), &tag))?;
        Some(Verified { credential, digest, current: signed_by == 0 })
    }

    /// Returns the keyed digest of any bytes, with the ring's first secret: the HMAC-SHA-256 of their SHA-256. Without
    /// the key it reveals nothing about the bytes, even if they are few enough to be guessed.
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

    /// Verifies a [digest](Signer::digest) of these bytes, in constant time.
    ///
    /// Returns `Some(true)` if the ring's first secret computed it, `Some(false)` if another one did, so that it should
    /// be computed again, and `None` if none did.
    ///
    /// ```
    /// use ampoule_seal::{KeyRing, Secret};
    ///
    /// # let (old, new) = (Secret::new(Secret::generate().as_str())?, Secret::new(Secret::generate().as_str())?);
    /// let digest = KeyRing::new(vec![old.clone()])?.signer("password of a login").digest(b"$argon2id$...");
    /// let signer = KeyRing::new(vec![new, old])?.signer("password of a login");
    /// assert_eq!(signer.verify_digest(b"$argon2id$...", &digest), Some(false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_digest(&self, message: &[u8], digest: &[u8; 32]) -> Option<bool> {
        let message = Sha256::digest(message).into();
        let index = self.0.iter().position(|mac| same_digest(&mac.hash(&message), digest))?;
        Some(index == 0)
    }
}

/// Compares in constant time.
fn tags_are_equal(tag: &[u8; 16], other: &[u8; 16]) -> bool {
    (u128::from_ne_bytes(*tag) ^ u128::from_ne_bytes(*other)).ct_eq(&0).into()
}

impl Token {
    /// Returns the text for a cookie.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("base64url is ASCII")
    }

    /// Returns the text as bytes, for a header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Token {}

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
            let expected = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(message).finalize().into_bytes();
            let mac = Mac::new(&Subkey::new(key));
            prop_assert_eq!(mac.hash(&message), <[u8; 32]>::from(expected));
            prop_assert_eq!(&mac.tag(&message)[..], &expected[..16]);
        }

        #[test]
        fn a_digest_is_verified_by_its_own_key_only(keys: [[u8; 32]; 3], message: Vec<u8>, other: Vec<u8>) {
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
