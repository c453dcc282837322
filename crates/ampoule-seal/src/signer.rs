//! Ids that prove that we made them.

use std::fmt;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
pub struct Signer(Vec<Hmac<Sha256>>);

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
}

impl Signer {
    pub(crate) fn new(keys: &[Subkey]) -> Signer {
        let mac = |key: &Subkey| Hmac::new_from_slice(&**key).expect("HMAC takes a key of any length");
        Signer(keys.iter().map(mac).collect())
    }

    /// The token of an id.
    pub fn sign(&self, id: &[u8; 16]) -> Token {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(id);
        bytes[16..].copy_from_slice(&self.0[0].clone().chain_update(id).finalize().into_bytes());
        let mut token = [0; TEXT];
        text::SHORT.encode_slice(bytes, &mut token).expect("48 bytes are 64 characters");
        Token(token)
    }

    /// The id of a token that one of the secrets signed; `None` for anything else, whatever is wrong with it.
    ///
    /// The decoding is strict, so that an id has one token, and tags are compared in constant time.
    pub fn verify(&self, token: &[u8]) -> Option<Verified> {
        let bytes: [u8; BYTES] = text::decode_array(token)?;
        let (id, tag) = bytes.split_first_chunk::<16>()?;
        let signed_by = self.0.iter().position(|mac| mac.clone().chain_update(id).verify_slice(tag).is_ok())?;
        Some(Verified { id: *id, current: signed_by == 0 })
    }
}

impl Token {
    /// The text, as it goes into a cookie.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("base64url is ASCII")
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

    #[test]
    fn keys_are_wiped_when_a_signer_is_dropped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        // HMAC keeps no key, only two states of this type.
        is_wiped::<Sha256>();
    }
}
