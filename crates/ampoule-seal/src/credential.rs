//! The credential of a session: which one it is, and the secret that proves it.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::block;
use crate::random::random_bytes;

/// An id, which is public and never changes, and a secret, which rotates. Both have 128 random bits, twice what OWASP's
/// session management cheat sheet asks for.
///
/// ```
/// use ampoule_seal::Credential;
///
/// let credential = Credential::random();
/// let rotated = credential.rotated();
/// assert_eq!(credential.id(), rotated.id());
/// assert_ne!(credential.digest(), rotated.digest());
/// assert_eq!(format!("{credential:?}"), "Credential(..)");
/// ```
#[derive(Clone, Copy)]
pub struct Credential {
    id: [u8; 16],
    secret: [u8; 16],
}

impl Credential {
    /// That of an id and a secret, which both must be random.
    pub fn new(id: [u8; 16], secret: [u8; 16]) -> Credential {
        Credential { id, secret }
    }

    /// A fresh one.
    ///
    /// # Panics
    /// As [`random_bytes`].
    pub fn random() -> Credential {
        Credential::new(random_bytes(), random_bytes())
    }

    /// The same id with a fresh secret.
    ///
    /// # Panics
    /// As [`random_bytes`].
    #[must_use]
    pub fn rotated(&self) -> Credential {
        Credential::new(self.id, random_bytes())
    }

    /// The id, which may be shown, logged and stored.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// What a store may know of the secret: the SHA-256 of it and a word that sets this use apart. The secret has 128
    /// random bits, so it cannot be found by trying (promise P8).
    pub fn digest(&self) -> [u8; 32] {
        let mut message = *b"ampoule session secret v1:................";
        message[26..].copy_from_slice(&self.secret);
        block::finish::<0, _>(block::START, &message)
    }

    /// What a signature is made of.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..].copy_from_slice(&self.secret);
        bytes
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Whether two digests are the same, in constant time.
pub fn same_digest(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let words =
        |digest: &[u8; 32]| [0, 8, 16, 24].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| digest[at + i])));
    let differing = words(one).into_iter().zip(words(other)).fold(0, |seen, (a, b)| seen | (a ^ b));
    differing.ct_eq(&0).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn a_digest_is_sha_256_of_the_secret_alone() {
        let half = |first: u8| std::array::from_fn(|index| first + index as u8);
        let credential = Credential::new(half(0), half(16));
        let secret: Vec<u8> = (16..32).collect();
        let theirs = Sha256::new().chain_update(b"ampoule session secret v1:").chain_update(secret).finalize();
        assert_eq!(credential.digest(), <[u8; 32]>::from(theirs));
        assert_eq!(credential.id(), half(0));
    }

    #[test]
    fn digests_that_differ_in_one_bit_are_not_the_same() {
        let one = Credential::random().digest();
        assert!(same_digest(&one, &one.clone()));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same_digest(&one, &other), "bit {bit}");
        }
    }
}
