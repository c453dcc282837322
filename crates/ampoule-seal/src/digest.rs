//! What may be known of an id by those who must not have it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::block;

/// What a store knows a session by: the SHA-256 of its id and a word that sets this use apart. The id has 128 random
/// bits, so who reads the store does not find it by trying (promise P8).
///
/// ```
/// assert_eq!(ampoule_seal::store_digest(&[7; 16])[..4], [0xfc, 0x21, 0x42, 0x47]);
/// ```
pub fn store_digest(id: &[u8; 16]) -> [u8; 32] {
    let mut message = *b"ampoule store key v1:................";
    message[21..].copy_from_slice(id);
    block::finish::<0, _>(block::START, &message)
}

/// What a log may show of a session: 40 bits of another digest of its id, as eight letters and digits. It is the same
/// for the same session, and no part of the id or of the store's key.
///
/// ```
/// let fingerprint = ampoule_seal::fingerprint(&[7; 16]);
/// assert_eq!(fingerprint.to_string(), "g9jxj3a9");
/// ```
pub fn fingerprint(id: &[u8; 16]) -> Fingerprint {
    let digest = Sha256::new().chain_update(b"ampoule fingerprint v1:").chain_update(id).finalize();
    let mut bits = [0; 8];
    bits[3..].copy_from_slice(&digest[..5]);
    Fingerprint(u64::from_be_bytes(bits))
}

/// See [`fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    /// Crockford's base32: no letters that are mistaken for digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let letter = |place: usize| ALPHABET[(self.0 >> (35 - 5 * place) & 31) as usize];
        let letters: [u8; 8] = std::array::from_fn(letter);
        f.pad(str::from_utf8(&letters).expect("the alphabet is ASCII"))
    }
}
